"""Files of kinds that no reader reads are counted, and never left out without a word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import WordEncoder, run_command_line
from hypothesis import given
from hypothesis import strategies as st

from ragvis import encoder as encoders
from ragvis.cli.left_out import tell_left_out
from ragvis.documents.reader import SUFFIXES
from ragvis.documents.unread import kinds_line, remedy_lines, remedy_of, unread_suffix
from ragvis.index import Index

CASES = Path(__file__).parent / "cases"


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_files_of_unread_kinds_are_counted_in_reports_and_status(
    make_index: Callable[..., Index], tmp_path: Path
) -> None:
    shutil.copytree(CASES / "unsupported_silent", tmp_path / "files")
    touch(
        tmp_path / "files" / "sub", "b.HEIC", "Makefile", "old.pptx", "backup.2024", ".hidden.csv"
    )
    wanted = {".heic": 2, "": 2, ".csv": 1, ".pptx": 1}  # a .jfif is a JPEG
    index = make_index()
    assert index.preview([tmp_path / "files"]).unread == wanted
    report = index.add([tmp_path / "files"])
    assert (report.unread, report.to_dict()["unread"]) == (wanted, wanted)
    assert list(report.unread)[:2] == ["", ".heic"]  # largest counts first
    assert index.status().unread == wanted
    assert index.status().to_dict()["unread"] == wanted


def test_counts_outlast_runs_over_other_paths_and_follow_their_own(
    make_index: Callable[..., Index], tmp_path: Path
) -> None:
    files = tmp_path / "files"
    touch(files, "a.csv", "b.csv")
    touch(files / "sub", "a.heic")
    touch(tmp_path / "other", "a.eml")
    index = make_index()
    index.add([files, files / "sub", f"{files}/../files"])
    assert index.unread() == {".csv": 2, ".heic": 1}
    index.add([tmp_path / "other"])
    assert index.unread() == {".csv": 2, ".eml": 1, ".heic": 1}
    (files / "b.csv").unlink()
    touch(files / "sub", "b.heic")
    assert index.add([files / "sub"]).unread == {".heic": 2}  # a part of what is known
    assert index.unread() == {".csv": 2, ".heic": 2, ".eml": 1}
    generation = index.info().generation
    index.add([files / "sub"])
    assert index.info().generation == generation  # nothing is written for nothing
    index.add([files])
    assert index.unread() == {".heic": 2, ".csv": 1, ".eml": 1}
    index.remove([files / "sub"])
    assert index.unread() == {".csv": 1, ".eml": 1}
    touch(tmp_path / "emptied", "a.epub")
    index.add([tmp_path / "emptied"])
    (tmp_path / "emptied" / "a.epub").unlink()
    assert index.unread() == {".csv": 1, ".eml": 1}
    files.rename(tmp_path / "renamed")
    index.add([tmp_path / "renamed"])
    assert index.unread() == {".heic": 2, ".csv": 1, ".eml": 1}  # not twice


def test_links_hidden_names_and_empty_folders_are_counted(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    (folder / "photos").symlink_to(tmp_path)
    (folder / "note.txt").symlink_to(folder / "pump.md")
    touch(folder, ".hidden.txt")
    (folder / ".git").mkdir()
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe.txt")
    index = make_index()
    wanted = {"links": 2, "hidden": 2, "special": 1, "empty": 1}
    report = index.add([folder, folder / "sub", folder / "photos" / "mine"])
    assert (report.left_out, report.to_dict()["left_out"]) == (wanted, wanted)
    assert report.added == 4


def test_names_of_all_sorts_are_counted(make_index: Callable[..., Index], tmp_path: Path) -> None:
    files = tmp_path / "files"
    touch(files, "\x1b[31m.csv", "x" * 251 + ".csv", "a.\x1b[31m", "b." + "x" * 99, "ü.é", "dot.")
    for name in (b"/\xff.csv", b"/.\xff", b"/\xff"):
        os.close(os.open(os.fsencode(str(files)) + name, os.O_CREAT | os.O_WRONLY))
    odd = os.fsencode(str(files)) + b"/\xfe"
    os.mkdir(odd)
    os.close(os.open(odd + b"/a.csv", os.O_CREAT | os.O_WRONLY))
    index = make_index()
    assert index.add([files]).unread == {".csv": 4, "": 5}
    assert index.unread() == {"": 5, ".csv": 4}


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing but an xlsx and a csv."""
    monkeypatch.setattr(encoders, "load", lambda name, tell: WordEncoder())
    touch(tmp_path / "office", "budget.xlsx", "list.csv")
    return tmp_path / "office"


def test_the_commands_name_the_kinds_and_what_would_read_them(office: Path, tmp_path: Path) -> None:
    said = ["2 files of kinds that are not read (.csv 1, .xlsx 1)", "  .csv: copy as .txt"]
    said.append("  .xlsx: save as PDF or HTML")
    command = ("index", office, "-i", tmp_path / "index", "--encoder", "words")
    done = run_command_line(*command, "--dry-run")
    assert done.stdout.splitlines()[1:] == said
    done = run_command_line(*command)
    assert (done.exit_code, done.stdout.splitlines()[1:]) == (0, said)
    assert json.loads(run_command_line(*command, "--json").stdout)["unread"] == {
        ".csv": 1,
        ".xlsx": 1,
    }
    status = run_command_line("status", "-i", tmp_path / "index").stdout
    assert "unread      " + "\n".join(said) in status
    (office / "budget.xlsx").unlink()
    (office / "link").symlink_to(tmp_path)
    lines = run_command_line(*command).stdout.splitlines()
    assert lines[1:] == [
        "1 file of a kind that is not read (.csv 1)",
        "  .csv: copy as .txt",
        "left out: 1 symbolic link",
    ]


def test_a_refusal_says_what_the_index_does_not_hold(
    folder: Path, make_index: Callable[..., Index], capsys: pytest.CaptureFixture[str]
) -> None:
    refusal, answer = (SimpleNamespace(abstained=a) for a in (True, False))
    index = make_index()
    index.add([folder])
    tell_left_out(index, refusal)  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""
    touch(folder, "a.heic", "b.heic", "empty.pdf")
    index.add([folder])
    tell_left_out(index, answer)  # type: ignore[arg-type]
    assert capsys.readouterr().err == ""
    tell_left_out(index, refusal)  # type: ignore[arg-type]
    assert capsys.readouterr().err == (
        "ragvis: the index does not hold 2 files of kinds that are not read (.heic 2) and 1 file"
        " that could not be read; `ragvis status` lists them\n"
    )


def test_a_file_of_an_unread_kind_that_is_given_by_itself_is_told_of(
    make_index: Callable[..., Index], tmp_path: Path
) -> None:
    touch(tmp_path / "files", "a.heic")
    (tmp_path / "files" / "a.heic").write_bytes(b"....ftypheic")
    report = make_index().add([tmp_path / "files" / "a.heic"])
    assert list(report.bad.values()) == [
        ".heic is not a supported kind of file: export as JPEG or PNG"
    ]


def test_a_line_names_the_largest_kinds() -> None:
    many = {f".k{i}x": i for i in range(1, 10)} | {"": 20}
    assert kinds_line(many) == (
        "65 files of kinds that are not read (no suffix 20, .k9x 9, .k8x 8, .k7x 7, .k6x 6,"
        " .k5x 5, …)"
    )
    assert (kinds_line({}), remedy_lines({}), remedy_lines({".unheard": 3})) == ("", [], [])
    assert remedy_lines({".heic": 1, ".svg": 9}) == [".svg, .heic: export as JPEG or PNG"]


def test_what_is_read_needs_no_remedy() -> None:
    assert not [suffix for suffix in SUFFIXES if remedy_of(suffix)]


@given(st.text().filter(lambda name: "/" not in name and "\0" not in name))
def test_a_suffix_is_short_and_plain(name: str) -> None:
    suffix: Any = unread_suffix(name)
    assert suffix == "" or (name.lower().endswith(suffix) and suffix[1:].isascii())
    assert len(suffix) <= 13 and not suffix[1:].isdigit()
