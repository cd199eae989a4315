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
