"""Pocket: put together right, once, by whoever comes first, and loaded like any checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from conftest import DEMO
from open_clip.transform import PreprocessCfg, image_transform_v2
from safetensors.torch import load_file
from test_composer import make_hit
from transformers import AutoModel, AutoTokenizer, CLIPVisionModelWithProjection

from ragvis import encoder
from ragvis._quiet import quiet
from ragvis.composer import Attachment, Room, compose
from ragvis.errors import ModelError, ModelUnavailable
from ragvis.generator import Sampling
from ragvis.media.images import open_picture
from ragvis.models import pocket


def test_the_encoders_text_tower_is_minilm(pocket_clip: Any, pocket_folder: Any) -> None:
    """Against transformers alone: mean pooling over the mask, unit length."""
    texts = ["the flag of Japan", "What is the capital of Kenya? " * 20, "x"]
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(pocket_folder.encoder)
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        model = pocket_clip._model.text.transformer
    with torch.inference_mode():
        hidden = model(batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        mask = batch.attention_mask[..., None].float()
        expected = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()
    assert pocket_clip.encode_texts(texts) == pytest.approx(expected, abs=1e-5)
    assert isinstance(model, type(AutoModel.from_config(model.config, add_pooling_layer=False)))


@torch.inference_mode()
def test_the_encoders_image_tower_is_the_sum_of_what_two_libraries_see(
    pocket_clip: Any, pocket_folder: pocket.Pocket
) -> None:
    shown = sorted((DEMO / "images").glob("*.jpg"))[::4]
    tower = pocket_clip._model.visual
    reference = image_transform_v2(PreprocessCfg(**tower.preprocess_cfg), is_train=False)
    pixels = torch.stack([reference(open_picture(p)) for p in shown])
    trained = trained_tower()(pixel_values=tower._smaller(pixels)).image_embeds
    state = load_file(pocket_folder.encoder / pocket.PHOTOGRAPHS)
    network = timm.create_model(pocket.NETWORK).eval()
    network.load_state_dict({k[4:]: v for k, v in state.items() if k.startswith("net.")})
    features = network.forward_head(network.forward_features(pixels), pre_logits=True)
    mapped = F.linear(features, state["head.weight"], state["head.bias"])
    classes = network(pixels).softmax(-1) @ state["classes"]
    whole = F.normalize(trained, dim=-1) + F.normalize(mapped, dim=-1) + classes
    expected = F.normalize(whole, dim=-1).numpy()
    found = pocket_clip.encode_pictures([open_picture(p) for p in shown])
    assert found == pytest.approx(expected, abs=5e-4)  # pixels are rounded in another order


def trained_tower() -> Any:
    with quiet():
        return CLIPVisionModelWithProjection.from_pretrained(
            pocket.WEIGHTS / "vision", dtype=torch.float32
        ).eval()


@torch.inference_mode()
def test_the_vit_is_shown_what_its_own_preprocessing_makes(pocket_clip: Any) -> None:
    shown = [open_picture(p) for p in sorted((DEMO / "images").glob("*.jpg"))]
    tower = pocket_clip._model.visual
    own, outer = (
        image_transform_v2(PreprocessCfg(**about), is_train=False)
        for about in (tower.vit.preprocess_cfg, tower.preprocess_cfg)
    )
    direct = tower.vit(torch.stack([own(p) for p in shown]))
    inner = tower.vit(tower._smaller(torch.stack([outer(p) for p in shown])))
    alike = F.cosine_similarity(direct, inner)
    assert alike.quantile(0.1) > 0.99 and alike.min() > 0.97  # small ones are enlarged between


def test_photographs_find_their_names(pocket_encoder: Any) -> None:
    """None of these was in the pictures that pocket's own tower was trained on."""
    names = ["bison", "koala", "komodo-dragon", "scarlet-macaw", "hedgehog", "chameleon"]
    images = DEMO / "images"
    shown = [open_picture(images / f"animal-{name}.jpg") for name in names]
    seen = pocket_encoder.encode_pictures(shown)
    texts = pocket_encoder.encode_texts([f"a photo of a {n.replace('-', ' ')}" for n in names])
    right = (seen @ texts.T).argmax(1) == np.arange(len(names))
    assert right.sum() >= 4  # by chance one


def test_encoders_know_their_limits(pocket_encoder: Any) -> None:
    assert pocket_encoder.max_tokens == 254
    assert pocket_encoder.count_tokens(["hello world", ""]) == [2, 0]
    assert pocket_encoder.count_tokens(["x" * 1000])[0] > 100  # no one unknown word
    pumps, lamps = pocket_encoder.encode_texts(["pump" * 60, "lamp" * 60])
    assert float(pumps @ lamps) < 0.99
    long = "word " * 254
    assert pocket_encoder.count_tokens([long]) == [254]
    longer = pocket_encoder.encode_texts([long, long + "other " * 50])
    assert longer[0] == pytest.approx(longer[1], abs=1e-5)  # what is over the limit is not seen


def test_a_local_open_clip_checkpoint_is_an_encoder(tmp_path: Path) -> None:
    folder = checkpoints.clip(tmp_path / "clip")
    loaded = encoder.load(str(folder), print)
    assert (loaded.dim, loaded.max_tokens) == (32, 75)
    vectors = loaded.encode_texts(["a", "a longer text about nothing"])
    assert (vectors**2).sum(1) == pytest.approx([1, 1], abs=1e-5)
    assert loaded.encode_pictures([open_picture(DEMO / "images" / "farm-cat.jpg")]).shape == (1, 32)
    assert loaded.count_tokens(["a cat"]) == [2]
    assert loaded.fingerprint == encoder.load(str(folder), print).fingerprint


def test_encoders_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("ViT-L-14-336/openai", "hf-hub:nobody/nothing"):
        with pytest.raises(ModelUnavailable):
            encoder.load(name, print)
    with pytest.raises(ModelUnavailable, match="names no weights"):
        encoder.load("ViT-B-32", print)
    with pytest.raises(ModelError, match="not an open_clip checkpoint"):
        encoder.load(str(tmp_path), print)


def test_the_ledger_is_what_enters_pocket(pocket_generator: Any) -> None:
    shots = [open_picture(p) for p in sorted((DEMO / "images").glob("flag-*.jpg"))[:2]]
    attached = [Attachment(make_hit(i, "image", None), s.size) for i, s in enumerate(shots)]
    hits = [make_hit(i, text="Ein Satz über nichts, 日本." * i) for i in range(5)]
    composed = compose("Why?", hits, attached, {}, pocket_generator.spec, Room(answer=4))
    list(pocket_generator.stream(composed.prompt, shots, Sampling(max_new_tokens=4)))
    assert pocket_generator.usage.prompt_tokens == composed.ledger.total
    assert composed.ledger.images > 2 * 64


def test_pocket_reads_cites_and_refuses(pocket_generator: Any) -> None:
    def answer(question: str, *passages: str) -> str:
        hits = [make_hit(i, text=p) for i, p in enumerate(passages)]
        composed = compose(question, hits, [], {}, pocket_generator.spec)
        return "".join(pocket_generator.stream(composed.prompt, [], Sampling()))

    facts = "The Zorb lamp costs 40 euros.", "The capital of Kenya is Nairobi."
    assert answer("How much does the Zorb lamp cost?", *facts) == (
        "The Zorb lamp costs 40 euros [1]."
    )
    assert answer("Who wrote Hamlet?", *facts) == "Not found in the sources."


# --- getting it ---------------------------------------------------------------------------


def test_offline_refuses_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGVIS_CACHE", str(tmp_path))
    monkeypatch.setenv("RAGVIS_OFFLINE", "1")
    with pytest.raises(ModelUnavailable) as caught:
        pocket.ensure(print)
    assert "ragvis models get pocket" in caught.value.hint


def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="wrong hash"):
        pocket.check_sha256(tmp_path / "weights", "0" * 64)
    with pytest.raises(ModelError, match="missing"):
        pocket.check_sha256(tmp_path / "none", "0" * 64)


def test_the_recipes_hashes_are_those_of_the_shipped_files() -> None:
    facts = pocket.recipe()
    for name in ("image_encoder", "lora", "connector"):
        pocket.check_sha256(pocket._weight_file(facts[name]["path"]), facts[name]["sha256"])


def test_a_copy_that_lacks_a_byte_is_not_taken_for_whole(
    pocket_folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGVIS_CACHE", str(tmp_path))
    copy = pocket._root()
    copy.mkdir(parents=True)
    for name, size in json.loads((pocket_folder.root / "complete.json").read_text()).items():
        (copy / name).parent.mkdir(exist_ok=True)
        with (copy / name).open("wb") as stream:
            stream.truncate(size)
    shutil.copy(pocket_folder.root / "complete.json", copy)
    assert pocket.installed() is not None
    (copy / "model" / "config.json").write_text("")
    assert pocket.installed() is None


def test_only_old_copies_are_forgotten(tmp_path: Path) -> None:
    names = ("0" * 16, "1" * 16, "2" * 16, "notes")
    for name in names:
        (tmp_path / name / "model").mkdir(parents=True)
    for name in ("0" * 16, "2" * 16, "notes"):
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ("2" * 16 + ".old") / "model").mkdir(parents=True)  # of a process that was killed
    pocket._forget_older(tmp_path / names[0])
    assert {f.name for f in tmp_path.iterdir()} == {"0" * 16, "1" * 16, "notes"}


# The real steps with the costly two made small: what is tested is who builds, and what is left.
BUILD = """
import sys
from pathlib import Path
from ragvis.models import pocket, pocket_build
def fetch(entry, folder, tell):
    inside = folder / entry["path_in_wheel"]
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.mkdir() if "." not in inside.name else inside.touch()
    print("fetching", flush=True)
    sys.stdin.readline()
def write(source, weights, *rest):
    rest[-1].mkdir()
    (rest[-1] / "part").write_text("whole")
pocket.fetch_wheel, pocket.check_sha256 = fetch, lambda file, wanted: None
pocket_build.write_encoder = pocket_build.write_model = write
print("built", pocket.ensure(lambda line: None).root, flush=True)
"""


def start_build() -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", BUILD], text=True, **pipes)


def test_killed_half_way_and_started_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGVIS_CACHE", str(tmp_path))
    killed = start_build()
    assert killed.stdout is not None and killed.stdout.readline() == "fetching\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert pocket.installed() is None
    first = start_build()
    assert first.stdout is not None and first.stdout.readline() == "fetching\n"
    second = start_build()  # while the first one holds the lock
    said = [process.communicate("\n\n\n", timeout=120)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert [text.count("fetching") for text in said] == [2, 0]  # one built, one waited
    found = pocket.installed()
    assert found is not None and (found.model / "part").read_text() == "whole"
    assert not list(found.root.parent.glob("*.part"))
