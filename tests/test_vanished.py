"""What is gone with its folder may lie on a drive that is not mounted: nothing is lost unasked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from conftest import WordEncoder, run_command_line
from hypothesis import given
from hypothesis import strategies as st

from ragvis import encoder as encoders
from ragvis.cli import index as cli_index
from ragvis.errors import FilesGone
from ragvis.index import Index, ingest
from ragvis.index.vanished import vanished
from ragvis.index.walk import Found, Walk
from ragvis.retriever import Retriever


def empty(folder: Path) -> None:
    """As a drive's mount point is, once that is gone."""
    shutil.rmtree(folder)
    folder.mkdir()


def remove(folder: Path) -> None:
    shutil.rmtree(folder)


def into_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("a folder was here")


def all_but_a_stray_file(folder: Path) -> None:
    empty(folder)
    (folder / ".Trash").mkdir()
    (folder / "log.heic").touch()


@pytest.mark.parametrize("happens", [empty, remove, into_a_file, all_but_a_stray_file])
def test_a_drive_that_is_gone_keeps_its_files_in_the_index(
    folder: Path, make_index: Callable[..., Index], happens: Callable[[Path], None]
) -> None:
    for i in range(8):
        (folder / f"{i}.txt").write_text(f"note {i}")
    index = make_index()
    index.add([folder])
    shutil.copytree(folder, folder.parent / "kept")
    happens(folder)
    said = f"all 12 files that the index knows in {folder}"
    with pytest.raises(FilesGone, match=said) as e:
        index.add([folder])
    assert (e.value.exit_code, "--prune" in e.value.hint) == (2, True)
    assert (e.value.report.gone, e.value.report.removed) == (12, 0)
    assert index.preview([folder]).gone == 12
    status = index.status()
    assert (status.passages, status.images, status.gone) == (10, 2, 12)
    shutil.rmtree(folder) if folder.is_dir() else folder.unlink(missing_ok=True)
    (folder.parent / "kept").rename(folder)
    assert index.add([folder]).unchanged == 12  # mounted again


def test_a_folder_that_was_emptied_on_purpose_is_forgotten_with_prune(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([folder])
    empty(folder)
    assert index.preview([folder], prune=True).removed == 4
    assert index.add([folder], prune=True).removed == 4
    assert index.status().files == 0


def test_what_is_there_is_read_though_a_drive_is_gone(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    shutil.copytree(folder, drive)
    for file in drive.rglob("*.*"):
        file.write_bytes(file.read_bytes() + b" ")  # no copies of the other folder's
    for i in range(3):
        (drive / f"{i}.txt").write_text(f"note {i}")
    (drive / "a.heic").touch()
    index = make_index()
    index.add([folder, drive])
    empty(drive)
    (folder / "new.txt").write_text("A new note.")
    (folder / "pump.md").unlink()
    with pytest.raises(FilesGone) as e:
        index.add([folder, drive])
    report = e.value.report
    assert (report.added, report.unchanged, report.removed, report.gone) == (1, 3, 1, 7)
    assert Retriever(index).search("note", k=9, modality="text")
    assert index.unread() == {}
    (drive / "a.heic").touch()
    assert index.unread() == {".heic": 1}
    assert index.prune([drive]) == 7
    assert index.status().files == 4


def test_one_folder_of_several_that_is_empty_is_asked_about(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    for place, count in (("nas", 10), ("here", 30)):
        (folder / place).mkdir()
        for i in range(count):
            (folder / place / f"{i}.txt").write_text(f"{place} {i}")
    index = make_index()
    index.add([folder])
    empty(folder / "nas")
    with pytest.raises(FilesGone, match=f"all 10 files that the index knows in {folder}/nas"):
        index.add([folder])
    shutil.rmtree(folder / "nas")  # a folder below that somebody took away is no mount point
    assert index.add([folder]).removed == 10


def test_new_files_elsewhere_do_not_make_up_for_a_missing_drive(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    index = make_index()
    index.add([folder])
    empty(folder)
    (tmp_path / "other").mkdir()
    for i in range(5):
        (tmp_path / "other" / f"{i}.txt").write_text(f"note {i}")
    with pytest.raises(FilesGone) as e:
        index.add([folder, tmp_path / "other"])
    assert (e.value.report.added, index.status().files) == (5, 9)


def test_deleting_moving_and_replacing_files_is_not_asked_about(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    for i in range(12):
        (folder / f"{i}.txt").write_text(f"note {i}")
    index = make_index()
    index.add([folder])
    for i in range(10):
        (folder / f"{i}.txt").unlink()
    assert index.add([folder]).removed == 10
    (folder / "today").mkdir()
    for file in [*folder.glob("*.*")]:
        file.rename(folder / "today" / file.name)
    report = index.add([folder])
    assert (report.moved, report.removed) == (4, 0)
    for file in folder.rglob("*.txt"):
        file.unlink()
    for i in range(5):
        (folder / f"other {i}.txt").write_text(f"another note {i}")
    assert index.add([folder]).removed == 3
    assert index.remove([folder]) == index.status().files + 8  # explicit


def test_a_copy_elsewhere_in_the_run_makes_it_no_loss(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    index = make_index()
    index.add([folder, other])
    empty(folder)
    assert index.add([folder, other]).removed == 4


def test_given_files_that_are_gone_with_their_folder_are_asked_about(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    files = [file for file in folder.rglob("*.*") if file.is_file()]
    index = make_index()
    index.add(files)
    (folder / "pump.md").unlink()
    assert index.add([folder / "pump.md"]).removed == 1
    empty(folder)
    with pytest.raises(FilesGone):
        index.add([file for file in files if file.name != "pump.md"])
    assert index.status().files == 3


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), OSError(116, "Stale handle")])
def test_an_error_in_the_middle_of_the_walk_loses_nothing(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    index = make_index()
    index.add([folder])
    real = os.scandir

    class Torn:
        """A folder whose list breaks off after its first entry."""

        def __init__(self, path: str) -> None:
            self._entries = real(path)

        def __enter__(self) -> Torn:
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> Any:
            yield next(self._entries)
            raise error

    monkeypatch.setattr(os, "scandir", Torn)
    report = index.add([folder])
    assert (report.removed, index.status().files) == (0, 4)
    assert report.bad[str(folder)] == error.strerror
    assert report.unchanged in (1, 2)  # what was listed


def test_a_file_that_cannot_be_opened_now_keeps_what_was_read(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    (folder / "pump.md").write_text("# Pump\n\nThe pump runs at twenty volts.\n")

    def refuse(path: Path) -> str:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(ingest, "sha256_of_file", refuse)
        report = index.add([folder])
    assert list(report.bad.values()) == ["Input/output error"]
    found = Retriever(index).search("volts", k=1, modality="text")[0]
    assert "twelve" in (found.text or "")
    assert index.add([folder]).changed == 1


def test_a_link_in_the_place_of_a_folder_keeps_what_was_known_of_it(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    index = make_index()
    index.add([folder])
    (folder / "sub").rename(tmp_path / "large drive")
    (folder / "sub").symlink_to(tmp_path / "large drive")
    report = index.add([folder])
    assert (report.removed, report.left_out) == (0, {"links": 1})
    assert "symbolic link" in report.bad[str(folder / "sub")]
    assert index.add([folder, folder / "sub"]).unchanged == 4
    (folder / "sub" / "lamp.txt").unlink()
    assert index.add([folder, folder / "sub"]).removed == 1


def test_the_index_in_a_folder_does_not_hide_what_is_known_there(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index("mine/sub")  # the index's own folder holds files
    assert index.add([folder / "sub" / "lamp.txt"]).added == 1
    report = index.add([folder])
    assert (report.added, report.removed) == (2, 0)
    assert "the index's own folder" in index.add([folder / "sub"]).bad[str(folder / "sub")]


def test_watching_goes_on_when_the_drive_is_gone_and_when_it_comes_back(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    told: list[str] = []
    index._tell = told.append
    reports = index.watch([folder])
    assert next(reports).added == 4
    drive = folder.rename(folder.parent / "drive")
    folder.mkdir()
    report = next(reports)
    assert (report.gone, report.removed, index.status().files) == (4, 0, 4)
    assert "Is a drive not mounted?" in told[-1]
    folder.rmdir()
    drive.rename(folder)
    (folder / "new.txt").write_text("A new note.")
    while not (report := next(reports)).added:  # there were two changes
        assert report.removed == 0
    assert (report.unchanged, index.status().files) == (4, 5)


@pytest.fixture
def drive(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index in ``index``, and the empty folder that it was made of."""
    monkeypatch.setattr(encoders, "load", lambda name, tell: WordEncoder())
    done = run_command_line("index", folder, "-i", tmp_path / "index", "--encoder", "words")
    assert done.exit_code == 0
    empty(folder)
    return folder


def test_the_command_says_what_to_do(drive: Path, tmp_path: Path) -> None:
    command = ("index", drive, "-i", tmp_path / "index")
    done = run_command_line(*command)
    assert (done.exit_code, done.stdout.splitlines()[0]) == (
        2,
        "0 new, 0 changed, 0 unchanged, 0 removed",
    )
    assert "They were kept. Is a drive not mounted? To forget them, give --prune" in done.stderr
    done = run_command_line(*command, "--json")
    assert (done.exit_code, json.loads(done.stdout)["gone"]) == (2, 4)
    done = run_command_line(*command, "--dry-run")
    assert (done.exit_code, "4 more are gone, and would be kept" in done.stdout) == (0, True)
    done = run_command_line(*command, "--dry-run", "--prune")
    assert "4 removed (nothing was done)" in done.stdout
    said = run_command_line("status", "-i", tmp_path / "index").stdout
    assert "4 of them are not on the disk any more; `ragvis index --prune` forgets them" in said
    assert "4 removed" in run_command_line(*command, "--prune").stdout


def test_prune_without_paths_forgets_all_that_is_gone(drive: Path, tmp_path: Path) -> None:
    (drive / "pump.md").write_text("a pump")
    command = ("index", "--prune", "-i", tmp_path / "index")
    assert "3 removed (nothing was done)" in run_command_line(*command, "--dry-run").stdout
    assert "3 removed" in run_command_line(*command).stdout
    shutil.rmtree(drive)
    drive.mkdir()
    said = run_command_line("index", drive, "-i", tmp_path / "index").stderr
    assert "the only file that the index knows in" in said
    assert "missing argument" in run_command_line("index", "-i", tmp_path / "index").stderr
    assert "missing argument" in run_command_line(*command, "--watch").stderr


@pytest.mark.parametrize("says", [True, False])
def test_a_person_is_asked(
    drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, err: (asked.append(text), says)[1])
    monkeypatch.setattr(cli_index, "_is_at_a_terminal", lambda: True)
    done = run_command_line("index", drive, "-i", tmp_path / "index")
    assert len(asked) == 1
    assert done.exit_code == (0 if says else 2)
    assert ("4 removed" if says else "0 removed") in done.stdout


NAMES = st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a", "c/d/b", "e/a", "e/b", "e/f/g/a"])


@given(st.sets(NAMES), st.sets(NAMES))
def test_only_what_is_lost_with_its_folder_is_kept(known: set[str], left: set[str]) -> None:
    known, left = ({f"/r/{name}" for name in names} for names in (known, left))
    about = os.stat("/")
    walk = Walk(found={p: Found(p, p, about) for p in left}, roots={"/r": "/r"})
    lost = known - left
    kept = vanished(walk, known, sorted(lost))
    assert kept.paths <= lost
    if not left and known:  # an empty mount point
        assert (kept.paths, kept.places, kept.known) == (lost, ("/r",), len(known))
    if 2 * len(lost) <= len(known):
        assert not kept.paths
    for path in kept.paths:
        assert not any(p.startswith(os.path.dirname(path) + "/") for p in left)
