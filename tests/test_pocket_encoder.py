"""A question in words needs neither PyTorch nor more of pocket's encoder than its texts' part."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragvis import Index, Retriever
from ragvis.encoder.pocket import PocketEncoder
from ragvis.encoder.pocket_text import PocketText
from ragvis.errors import ModelError
from ragvis.media.images import open_picture

_SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_SEARCH = """\
import sys
from ragvis.cli.main import run
code = run(["search", "the highest mountain of Peru", "-i", sys.argv[1]])
print(code, sorted({"torch", "transformers", "open_clip"} & set(sys.modules)))
"""


@pytest.fixture(scope="module")
def text(pocket_folder: Any) -> PocketText:
    return PocketText(pocket_folder.encoder)


def _loaded(encoder: PocketEncoder) -> bool:
    return encoder.tower is not None


@given(asked=st.lists(st.text(max_size=80), min_size=1, max_size=3))
@_SLOW
def test_any_text_lies_where_open_clip_puts_it(
    asked: list[str], text: PocketText, pocket_clip: Any
) -> None:
    assert text.encode(asked) == pytest.approx(pocket_clip.encode_texts(asked), abs=2e-6)
    assert text.count_tokens(asked) == pocket_clip.count_tokens(asked)


@pytest.mark.parametrize(
    "asked",
    [
        "What is the highest mountain of Peru?",
        "Fish &amp;amp; chips &lt;b&gt;",
        "the caf\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT} – “so so”",
        "[PAD] in [PAD] between [CLS]",
        "x" * 20_000,
        "word " * 300,
        "",
    ],
)
def test_texts_that_are_treated_specially(asked: str, text: PocketText, pocket_clip: Any) -> None:
    assert text.encode([asked]) == pytest.approx(pocket_clip.encode_texts([asked]), abs=2e-6)


def test_a_search_in_words_loads_no_torch(demo_index: Path, pocket_encoder: Any) -> None:
    _ = pocket_encoder.fit  # the weights have been loaded once, and their fingerprint is known
    done = subprocess.run(
        [sys.executable, "-c", _SEARCH, str(demo_index)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert "country-peru.md" in done.stdout


def test_a_question_in_words_leaves_the_rest_unloaded(demo_index: Path) -> None:
    with Index.open(demo_index) as index:
        found = Retriever(index).search("the highest mountain of Peru", k=1)
        assert index.encoder.tower is None
        again = Retriever(index).search_many(["the highest mountain of Peru"] * 20, k=1)
        assert index.encoder.tower is not None
    assert all(hits[0].id == found[0].id for hits in again)
    assert again[0][0].score == pytest.approx(found[0].score, abs=2e-4)


def test_a_picture_loads_the_rest(pocket_folder: Any, pocket_clip: Any) -> None:
    encoder = PocketEncoder.load(print)
    before = encoder.encode_queries(["a koala"])
    assert not _loaded(encoder)
    picture = open_picture(DEMO / "images" / "animal-koala.jpg")
    assert np.array_equal(
        encoder.encode_pictures([picture]), pocket_clip.encode_pictures([picture])
    )
    assert _loaded(encoder)
    assert encoder.encode_queries(["a koala"]) == pytest.approx(before, abs=2e-6)
    assert encoder.count_tokens(["a koala"]) == pocket_clip.count_tokens(["a koala"])
    assert (encoder.dim, encoder.max_tokens, encoder.fit) == (
        pocket_clip.dim,
        pocket_clip.max_tokens,
        pocket_clip.fit,
    )


def test_the_fingerprint_is_taken_once_and_put_right(
    tmp_path: Path, pocket_folder: Any, pocket_clip: Any
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(pocket_folder.encoder, folder)
    (folder / "fingerprint").unlink(missing_ok=True)
    first = PocketEncoder(folder, print)
    assert _loaded(first)
    second = PocketEncoder(folder, print)
    assert not _loaded(second)
    assert first.fingerprint == second.fingerprint == pocket_clip.fingerprint
    (folder / "fingerprint").write_text("of other weights")
    third = PocketEncoder(folder, print)
    with pytest.raises(ModelError, match="not what they were"):
        _ = third.fit  # an index was compared with the wrong one: nothing is encoded
    assert PocketEncoder(folder, print).fingerprint == pocket_clip.fingerprint


def test_weights_that_changed_are_looked_at_again(
    tmp_path: Path, pocket_folder: Any, pocket_clip: Any
) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(pocket_folder.encoder, folder)
    (folder / "fingerprint").write_text("of older weights")
    for file in folder.glob("*.safetensors"):
        later = (folder / "fingerprint").stat().st_mtime_ns + 10**9
        os.utime(file, ns=(later, later))
    assert PocketEncoder(folder, print).fingerprint == pocket_clip.fingerprint


def test_a_folder_that_takes_no_file(tmp_path: Path, pocket_folder: Any, pocket_clip: Any) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(pocket_folder.encoder, folder)
    (folder / "fingerprint").unlink(missing_ok=True)
    (folder / "fingerprint").mkdir()
    assert PocketEncoder(folder, print).fingerprint == pocket_clip.fingerprint
