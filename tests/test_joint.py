"""A sentence-transformers model beside the encoder, on a checkpoint of the true architecture."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WordEncoder, run_command_line
from PIL import Image

from ragvis.encoder.joint import JointEncoder
from ragvis.errors import MissingExtra, ModelError
from ragvis.index import Index
from ragvis.retriever import Retriever


@pytest.fixture(scope="session")
def text_model(pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, mean pooling, and a prompt for queries."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("text-model")
    tokenizer = AutoTokenizer.from_pretrained(pocket_folder.encoder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=64, **sizes)
    BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    bert = Transformer(str(folder / "bert"), max_seq_length=64)
    prompts = {"query": "query: ", "document": ""}
    model = SentenceTransformer(modules=[bert, Pooling(32)], prompts=prompts)
    model.save(str(folder / "whole"))
    return folder / "whole"


@pytest.fixture
def joint(text_model: Path) -> JointEncoder:
    return JointEncoder.load(f"words + {text_model}", WordEncoder(), lambda _: None)


def test_the_space_is_the_sum_of_both(joint: JointEncoder) -> None:
    clip = WordEncoder()
    texts = ["a pump of twelve volts", "four candles"]
    pictures = [Image.new("RGB", (9, 9), c) for c in ("red", "blue")]
    asked, said = joint.encode_queries(texts), joint.encode_texts(texts)
    seen = joint.encode_pictures(pictures)
    assert joint.dim == clip.dim + 32
    for rows in (asked, said, seen):
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = clip.encode_texts(texts) @ clip.encode_pictures(pictures).T
    assert asked @ seen.T == pytest.approx(0.5**0.5 * cosines, abs=1e-5)
    assert said @ seen.T == pytest.approx(0.3 * cosines, abs=1e-5)
    assert not np.allclose(asked[:, clip.dim :], said[:, clip.dim :])  # queries have a prompt
    assert joint.encode_texts([]).shape == (0, joint.dim)


def test_passages_fit_both(joint: JointEncoder) -> None:
    clip = WordEncoder()
    texts = ["antidisestablishmentarianism", "a b c d e f g h", ""]
    counts = joint.count_tokens(texts)
    assert all(a >= b for a, b in zip(counts, clip.count_tokens(texts), strict=True))
    assert joint.max_tokens == min(clip.max_tokens, 64 - 2)
    assert joint.count_tokens([]) == []


def test_threads_may_share_it(joint: JointEncoder) -> None:
    texts = [f"number {n} " * (n % 7 + 1) for n in range(40)]
    alone = [joint.encode_queries([t])[0] for t in texts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda t: joint.encode_queries([t])[0], texts))
        assert list(pool.map(lambda t: joint.count_tokens([t])[0], texts))
    assert np.array(found) == pytest.approx(np.array(alone), abs=1e-5)


def test_an_index_remembers_both(text_model: Path, folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "index"
    made = ["index", folder, "-i", place, "--encoder", "pocket", "--text-encoder", text_model]
    assert run_command_line(*made).exit_code == 0
    status = json.loads(run_command_line("status", "-i", place, "--json").stdout)
    assert status["encoder"] == f"pocket + {text_model}"
    found = run_command_line("search", "pump volts", "-i", place, "--json")
    assert json.loads(found.stdout)["hits"][0]["path"].endswith("pump.md")
    assert run_command_line(*made).exit_code == 0  # the same two again
    other = run_command_line("index", folder, "-i", place, "--encoder", "pocket")
    assert other.exit_code == 4
    hits = Retriever(Index.open(place)).search(image=folder / "red.png", k=1, modality="image")
    assert hits[0].name == "red.png"


def test_what_cannot_be_loaded_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="text encoder"):
        JointEncoder.load(f"words + {tmp_path / 'empty'}", WordEncoder(), lambda _: None)
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra) as told:
        JointEncoder.load("words + x", WordEncoder(), lambda _: None)
    assert "ragvis[text]" in told.value.hint
