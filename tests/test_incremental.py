"""Nothing is read twice, and what vanished goes: only what changed costs anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WordEncoder

from ragvis.errors import UsageError
from ragvis.index import Index, ingest
from ragvis.retriever import Retriever


def test_a_touched_file_costs_no_embedding(
    folder: Path, make_index: Callable[..., Index], encoder: WordEncoder
) -> None:
    index = make_index()
    index.add([folder])
    before = (encoder.texts_encoded, encoder.pictures_encoded)
    os.utime(folder / "pump.md")
    os.utime(folder / "red.png")
    assert index.add([folder]).unchanged == 4
    assert (encoder.texts_encoded, encoder.pictures_encoded) == before


def test_a_moved_file_keeps_its_embeddings_and_takes_its_new_name(
    folder: Path, make_index: Callable[..., Index], encoder: WordEncoder
) -> None:
    index = make_index()
    index.add([folder])
    before = (encoder.texts_encoded, encoder.pictures_encoded)
    (folder / "red.png").rename(folder / "sub" / "crimson.png")
    (folder / "pump.md").rename(folder / "device.md")
    report = index.add([folder])
    assert (report.added, report.removed, report.moved) == (0, 0, 2)
    assert (encoder.texts_encoded, encoder.pictures_encoded) == before
    found = Retriever(index).search("crimson", k=1, modality="image")[0]
    assert (found.name, found.title) == ("crimson.png", "crimson")
    assert Retriever(index).search("volts", k=1, modality="text")[0].title == "Pump"


def test_a_file_whose_old_place_was_taken_by_another_is_not_lost(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.Ingest, "_commit_ready", ingest.Ingest._flush)  # after every file
    index = make_index()
    index.add([folder])
    (folder / "pump.md").rename(folder / "zebra.md")
    (folder / "pump.md").write_text("Something else stands here now.")
    index.add([folder])
    found = Retriever(index).search("twelve volts", k=1, modality="text")[0]
    assert (found.name, index.verify()) == ("zebra.md", [])
    assert index.status().files == 5


def test_equal_files_are_embedded_once_and_listed_with_all_their_paths(
    folder: Path, make_index: Callable[..., Index], encoder: WordEncoder
) -> None:
    for i in range(3):
        (folder / f"copy{i}.md").write_bytes((folder / "pump.md").read_bytes())
    index = make_index()
    report = index.add([folder])
    assert report.added == 7
    assert index.status().passages == 2
    hits = Retriever(index).search("volts", k=9, modality="text")
    assert [h.name for h in hits if "volts" in (h.text or "")] == ["copy0.md"]
    assert [Path(p).name for p in hits[0].paths] == ["copy0.md", "copy1.md", "copy2.md", "pump.md"]
    (folder / "copy0.md").unlink()
    assert index.add([folder]).removed == 1
    assert len(Retriever(index).search("volts", k=9, modality="text")[0].paths) == 3


def test_another_spelling_of_a_path_costs_no_reading(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    monkeypatch.chdir(folder)
    monkeypatch.setattr(ingest, "sha256_of_file", None)  # would fail if it were called
    assert index.add(["."]).unchanged == 4
    assert Retriever(index).search("volts", k=1, modality="text")[0].path == "./pump.md"


def test_only_what_vanished_under_the_given_paths_goes(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([folder])
    (folder / "pump.md").unlink()
    (folder / "sub" / "lamp.txt").unlink()
    assert index.add([folder / "sub"]).removed == 1
    assert index.status().passages == 1
    assert index.remove([folder / "sub"]) == 1
    assert index.status().files == 2


def test_a_given_path_that_vanished_is_dropped_and_a_wrong_one_refused(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([folder])
    (folder / "sub" / "lamp.txt").unlink()
    (folder / "sub" / "blue.png").unlink()
    (folder / "sub").rmdir()
    assert index.add([folder / "sub"]).removed == 2
    with pytest.raises(UsageError, match="no such file"):
        index.add([folder / "never"])
