"""Files that are not where they were: the live one is shown, and a dead path never wins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import WordEncoder

from ragvis.errors import BadFile
from ragvis.evidence.view import view_of
from ragvis.index import Index, check_unchanged, ingest, picture_of
from ragvis.retriever import Retriever
from ragvis.store.catalog import Catalog
from ragvis.types import Hit, Source


def passage(index: Index, query: str = "volts") -> Hit:
    return Retriever(index).search(query, k=1, modality="text")[0]


def picture(index: Index, query: str = "red") -> Hit:
    return Retriever(index).search(query, k=1, modality="image")[0]


def test_a_renamed_folder_is_known_under_its_new_name_alone(
    folder: Path, make_index: Callable[..., Index], encoder: WordEncoder
) -> None:
    index = make_index()
    index.add([folder])
    before = (encoder.texts_encoded, encoder.pictures_encoded)
    photos = folder.rename(folder.parent / "Photos")
    report = index.add([photos])
    assert (report.added, report.moved, report.removed, report.copies) == (0, 4, 0, 0)
    assert (encoder.texts_encoded, encoder.pictures_encoded) == before
    status = index.status()
    assert (status.files, status.gone, status.passages, status.images) == (4, 0, 2, 2)
    for hit in (passage(index), picture(index)):
        assert hit.paths == (hit.path,) and Path(hit.file).parent == photos
    assert picture_of(picture(index)).size == (60, 60)
    assert index.add([photos]).unchanged == 4


def test_a_file_that_cannot_be_read_moves_too(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    (folder / "torn.pdf").write_bytes(b"%PDF-1.4 and no more")
    index = make_index()
    index.add([folder])
    photos = folder.rename(folder.parent / "Photos")
    assert list(index.add([photos]).bad) == [str(photos / "torn.pdf")]
    status = index.status()
    assert (status.bad_files, status.gone) == (1, 0)
    assert list(status.errors) == [str(photos / "torn.pdf")]


def test_a_folder_that_was_not_indexed_anew_is_told_of_and_forgotten_on_request(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    index = make_index()
    (folder / "scan.heic").touch()
    index.add([folder])
    (folder / "sub").rename(tmp_path / "elsewhere")
    assert (index.status().files, index.status().gone) == (4, 2)
    (folder / "scan.heic").unlink()
    assert index.prune() == 2
    assert (index.status().files, index.status().gone) == (2, 0)
    assert index.prune() == 0
    assert index.add([tmp_path / "elsewhere"]).added == 2


def test_of_equal_files_the_one_that_is_there_is_shown(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    index = make_index()
    index.add([folder, other])
    assert Path(picture(index).file).parent == folder
    shutil.rmtree(folder)
    for hit in (passage(index), picture(index)):
        assert hit.path == hit.file == str(other / hit.name)
        assert hit.paths == (str(other / hit.name), str(folder / hit.name))
    # Also where a filter holds for the dead one alone
    found = Retriever(index).search("volts", k=1, filter=f"path:{folder}")
    assert found[0].file == str(other / "pump.md")
    assert picture_of(picture(index)).getpixel((0, 0)) == (255, 0, 0)
    assert index.status().gone == 4


def test_a_file_that_changed_or_went_since_the_search_is_found_in_its_copy(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    index = make_index()
    index.add([folder, other])
    text, seen = passage(index), picture(index)
    (folder / "pump.md").write_text("Something else.")
    (folder / "red.png").unlink()
    assert check_unchanged(text) == other / "pump.md"
    assert picture_of(seen).getpixel((0, 0)) == (255, 0, 0)
    view = view_of(Source(1, text, "text"))
    assert (view.trouble, "twelve volts" in view.passage) == ("", True)
    shutil.rmtree(other)
    with pytest.raises(BadFile, match=r"pump\.md: it has changed since"):
        check_unchanged(text)
    with pytest.raises(BadFile, match=r"red\.png: No such file"):
        picture_of(seen)


def test_two_equal_files_count_their_passages_once(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    for name in ("a.md", "b.md", "c.md"):
        shutil.copy(folder / "pump.md", folder / name)
    shutil.copy(folder / "red.png", folder / "rouge.png")
    index = make_index()
    report = index.add([folder])
    status = index.status()
    assert (report.passages, report.images) == (status.passages, status.images) == (2, 2)
    assert (report.added, report.copies) == (8, 4)
    assert report.to_dict()["copies"] == 4
    (folder / "copy of lamp.txt").write_bytes((folder / "sub" / "lamp.txt").read_bytes())
    report = index.add([folder])
    assert (report.added, report.copies, report.passages) == (1, 1, 0)


def test_a_move_that_was_cut_short_is_not_counted_twice(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.Ingest, "_commit_ready", ingest.Ingest._flush)  # after every file
    index = make_index()
    index.add([folder])
    photos = folder.rename(folder.parent / "Photos")
    linked: list[str] = []
    real = Catalog.link

    def link(self: Catalog, *args: object) -> None:
        if len(linked) == 2:
            raise KeyboardInterrupt
        linked.append("")
        real(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "link", link)
        with pytest.raises(KeyboardInterrupt):
            index.add([photos])
    assert index.status().files == 4
    report = index.add([photos])
    assert (report.moved, report.unchanged, index.status().files) == (2, 2, 4)


def test_a_folder_given_by_a_link_and_by_itself_counts_once(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    (folder / "sheet.xlsx").touch()
    index = make_index()
    report = index.add([link, folder, folder / "sub", f"{folder}/../mine"])
    assert (report.added, report.copies, report.unread) == (4, 0, {".xlsx": 1})
    assert Path(passage(index).file).parent == link
    report = index.add([folder])  # in another run
    assert (report.added, report.moved, index.status().files) == (0, 4, 4)
    assert Path(passage(index).file).parent == folder
    os.link(folder / "pump.md", folder / "hard.md")  # another file with the same content
    assert index.add([folder]).copies == 1


@pytest.mark.parametrize("is_inside", [True, False])
def test_an_index_that_was_moved_with_its_files_finds_them(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path, is_inside: bool
) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    files = folder.rename(drive / "mine")
    name = "mine/index" if is_inside else "index"
    (files / "sheet.xlsx").touch()
    make_index(f"drive/{name}").add([files])
    drive.rename(tmp_path / "elsewhere")
    files = tmp_path / "elsewhere" / "mine"
    index = Index.open(tmp_path / "elsewhere" / name)
    assert (index.status().gone, index.unread()) == (0, {".xlsx": 1})
    for hit in (passage(index), picture(index)):
        assert hit.path == hit.file == str(files / hit.name)
    assert picture_of(picture(index)).size == (60, 60)
    assert index.preview([files]).unchanged == 4
    report = index.add([files / "sub"])  # the others follow, too
    assert (report.unchanged, report.added, index.status().files) == (2, 0, 4)
    assert (Catalog.open(index.path).files().keys(), index.unread()) == (
        {str(files / n) for n in ("pump.md", "red.png", "sub/lamp.txt", "sub/blue.png")},
        {".xlsx": 1},
    )
    assert index.add([files]).unchanged == 4


def test_a_copy_of_an_index_goes_on_with_the_files_it_was_made_of(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    make_index("a/index").add([folder])
    (tmp_path / "b").mkdir()
    shutil.copytree(tmp_path / "a" / "index", tmp_path / "b" / "index")
    index = Index.open(tmp_path / "b" / "index")
    assert passage(index).file == str(folder / "pump.md")
    assert index.add([folder]).unchanged == 4
