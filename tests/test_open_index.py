"""An open index stays with its folder, and is told what is no path."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import WordEncoder

from ragvis import encoder as encoders
from ragvis.errors import IndexMismatch, IndexMissing, StorageError, UsageError
from ragvis.index import Index
from ragvis.retriever import Retriever


@pytest.mark.parametrize("given", [str, Path])
def test_one_path_is_not_taken_for_its_letters(
    make_index: Callable[..., Any], folder: Path, given: Callable[[Path], str | Path]
) -> None:
    index = make_index()
    index.add([folder])
    assert index.preview(given(folder / "sub")).unchanged == 2
    assert index.remove(given(folder / "sub")) == 2  # "/", its first letter, holds all four
    assert index.add(given(folder / "sub")).added == 2


def test_an_empty_path_is_not_the_current_folder(
    make_index: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add(folder)
    monkeypatch.chdir(folder)
    for act in (index.add, index.remove, index.preview, lambda path: next(index.watch(path))):
        for path in ("", ["sub", ""]):
            with pytest.raises(UsageError, match="empty"):
                act(path)
    assert index.add(folder).unchanged == 4


def test_an_index_that_was_removed_says_so(make_index: Callable[..., Any], folder: Path) -> None:
    index = make_index()
    index.add(folder)
    shutil.rmtree(index.path)
    for use in (index.status, lambda: index.add(folder), lambda: Retriever(index).search("pump")):
        with pytest.raises(IndexMissing, match="no index in"):
            use()
    assert not index.path.exists()


def test_an_index_made_anew_in_the_same_place_is_followed(
    make_index: Callable[..., Any], folder: Path
) -> None:
    index = make_index()
    index.add(folder)
    find = Retriever(index)
    assert find.search("pump")
    shutil.rmtree(index.path)
    (folder / "other.txt").write_text("The lantern hangs in the cellar.")
    with Index.create(index.path) as anew:
        anew.add(folder / "other.txt")
        assert anew.info().generation == index.info().generation
    assert [hit.path for hit in find.search("lantern")] == [str(folder / "other.txt")]
    assert index.add(folder).unchanged == 1
    assert Index.open(index.path).status() == index.status()


def test_an_index_made_anew_by_another_encoder_is_searched_by_that_one(
    make_index: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add(folder)
    assert Retriever(index).search("pump")
    asked = Retriever(index).query("pump")
    shutil.rmtree(index.path)
    other = WordEncoder("e" * 64)
    monkeypatch.setattr(encoders, "load", lambda name, tell: other)
    with Index.create(index.path, "other") as anew:
        anew.add(folder)
    before = other.texts_encoded
    assert Retriever(index).search("pump")
    assert other.texts_encoded > before
    assert index.info().fingerprint == "e" * 64
    with pytest.raises(IndexMismatch, match="made anew"):
        Retriever(index).rank(asked, 3)


def test_closing_waits_for_who_is_reading(make_index: Callable[..., Any], folder: Path) -> None:
    index = make_index()
    index.add(folder)
    with index.reading():
        closing = threading.Thread(target=index.close)
        closing.start()
        assert index.items([1])
        assert closing.is_alive()
    closing.join()
    with pytest.raises(StorageError, match="closed"):
        index.status()


def test_an_index_stays_where_it_was_opened(
    make_index: Callable[..., Any], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("a", "b"):
        make_index(f"{place}/idx").add(folder)
    monkeypatch.chdir(tmp_path / "a")
    index = Index.open("idx")
    monkeypatch.chdir(tmp_path / "b")
    assert index.remove(folder) == 4
    assert (index.status().files, index.info().path) == (0, "idx")
    assert Index.open("idx").status().files == 4


def test_a_closed_index_says_so(make_index: Callable[..., Any], folder: Path) -> None:
    index = make_index()
    index.add(folder)
    index.close()
    write = (lambda: index.add(folder), lambda: index.remove(folder))
    for ask in (index.status, lambda: Retriever(index).search("pump"), *write):
        with pytest.raises(StorageError, match="closed") as caught:
            ask()
        assert caught.value.hint == "Open the index again."


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which encoders were loaded; a folder's name is its fingerprint's first letter."""
    names: list[str] = []

    def load(name: str, tell: object) -> WordEncoder:
        names.append(name)
        encoder = WordEncoder(name.rsplit("-", 1)[-1][0] * 64)
        encoder.name = name
        return encoder

    monkeypatch.setattr(encoders, "load", load)
    return names


@pytest.mark.parametrize(
    ("made_by", "asked"),
    [
        (("pocket", None), ("ViT-B-32/openai", None)),
        (("pocket", None), ("hf-hub:org/clip", None)),
        (("pocket", None), ("pockett", None)),
        (("pocket", None), ("no/such/folder", None)),
        (("pocket", None), ("pocket", "all-MiniLM-L6-v2")),
        (("pocket", None), (None, "all-MiniLM-L6-v2")),
        (("ViT-B-32/openai", None), ("ViT-B-32/laion2b", None)),
        (("ViT-B-32/openai", "org/texts"), ("ViT-B-32/openai", None)),
        (("ViT-B-32/openai", "org/texts"), (None, "org/others")),
        (("ViT-B-32/openai", "org/texts"), ("ViT-L-14/openai", "org/texts")),
    ],
)
def test_another_encoder_s_name_is_told_and_nothing_is_loaded(
    made_by: tuple[str, str | None],
    asked: tuple[str | None, str | None],
    loaded: list[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "index"
    Index.create(path, made_by[0], text_encoder=made_by[1]).close()
    loaded.clear()
    with pytest.raises(IndexMismatch, match="was made by the encoder") as caught:
        Index.create(path, asked[0], text_encoder=asked[1])
    stored = " + ".join(filter(None, made_by))
    assert f"encoder {stored}, not by" in str(caught.value)
    assert "Leave out --encoder" in caught.value.hint and caught.value.exit_code == 4
    assert loaded == []


@pytest.mark.parametrize(
    "asked", [(None, None), ("ViT-B-32/openai", "org/texts"), (None, "org/texts")]
)
def test_the_same_name_is_taken_at_its_word(
    asked: tuple[str | None, str | None], loaded: list[str], tmp_path: Path
) -> None:
    Index.create(tmp_path / "index", "ViT-B-32/openai", text_encoder="org/texts").close()
    loaded.clear()
    Index.create(tmp_path / "index", asked[0], text_encoder=asked[1]).close()
    assert loaded == []


def test_a_folder_that_moved_is_compared_by_its_weights(loaded: list[str], tmp_path: Path) -> None:
    for name in ("encoder-a", "moved-a", "other-b"):
        (tmp_path / name).mkdir()
    Index.create(tmp_path / "index", tmp_path / "encoder-a").close()
    with Index.create(tmp_path / "index", tmp_path / "moved-a") as index:
        assert index.encoder.name == str(tmp_path / "moved-a")
    with pytest.raises(
        IndexMismatch, match=r"encoder-a \(a{12}\), not by this .*other-b \(b{12}\)"
    ):
        Index.create(tmp_path / "index", tmp_path / "other-b")
