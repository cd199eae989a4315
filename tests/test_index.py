"""The index says what is in the files, after any change to them, and re-reads nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WordEncoder
from PIL import Image

from ragvis import encoder as encoders
from ragvis.documents import readers
from ragvis.errors import (
    BadFile,
    IndexLocked,
    IndexMismatch,
)
from ragvis.index import Index, derive, ingest, picture_of
from ragvis.prompts import UNRELATED_QUERIES
from ragvis.retriever import Retriever
from ragvis.store.lock import writer_lock


def texts(index: Index) -> list[str]:
    ids = [int(i) for piece, _ in index._catalog.vectors("text") for i in piece]
    return sorted(i.body for i in index.items(ids).values())


def test_add_change_delete_and_run_again(
    folder: Path, make_index: Callable[..., Index], encoder: WordEncoder
) -> None:
    index = make_index()
    report = index.add([folder])
    assert (report.added, report.passages, report.images, report.bad) == (4, 2, 2, {})
    before = (encoder.texts_encoded, encoder.pictures_encoded)
    report = index.add([folder])
    assert (report.added, report.unchanged) == (0, 4)
    assert (encoder.texts_encoded, encoder.pictures_encoded) == before
    (folder / "pump.md").write_text("# Pump\n\nThe pump runs at twenty volts.\n")
    (folder / "red.png").unlink()
    (folder / "new.txt").write_text("A new note.")
    report = index.add([folder])
    assert (report.added, report.changed, report.unchanged, report.removed) == (1, 1, 2, 1)
    assert "The pump runs at twenty volts." in "".join(texts(index))
    assert "twelve" not in "".join(texts(index))
    assert index.status().images == 1
    assert sum(f.stat().st_size for f in index.path.glob("*-wal")) == 0  # folded into the catalog
    assert index.add([folder]).unchanged == 4


def test_bad_files_are_reported_and_skipped_and_mended_ones_read(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    (folder / "blank.txt").write_text("  \n ")
    index = make_index()
    report = index.add([folder])
    assert report.added == 4
    assert {Path(p).name for p in report.bad} == {"torn.jpg", "blank.txt"}
    assert index.status().bad_files == 2
    assert set(index.add([folder]).bad) == set(report.bad)  # still said, not read again
    Image.new("RGB", (60, 60), "green").save(folder / "torn.jpg")
    report = index.add([folder])
    assert (report.added, len(report.bad)) == (1, 1)


def test_special_files_links_and_odd_names(
    folder: Path, make_index: Callable[..., Index], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not yours")
    (folder / "loop").symlink_to(folder)
    (folder / "escape.txt").symlink_to(outside / "secret.txt")
    (folder / ".hidden.txt").write_text("hidden")
    os.mkfifo(folder / "pipe.txt")
    (folder / "\x1b[31m\u202ename.txt").write_text("An odd name.")
    for name in (b"/\xff.txt", b"/\xfe.txt"):
        os.close(os.open(os.fsencode(str(folder)) + name, os.O_CREAT | os.O_WRONLY))
    index = make_index()
    report = index.add([folder])
    assert report.added == 5
    assert list(report.bad.values()) == 2 * ["its name is not valid Unicode; rename it"]
    assert index.add([folder]).unchanged == 5


def test_an_unreadable_folder_keeps_what_was_known_of_it(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    real = os.scandir

    def refuse(path: str) -> Any:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = index.add([folder])
    assert report.removed == 0
    assert list(report.bad.values()) == ["Permission denied"]


def test_the_preview_changes_nothing(folder: Path, make_index: Callable[..., Index]) -> None:
    index = make_index()
    assert index.preview([folder]).added == 4
    assert index.status().files == 0
    index.add([folder])
    (folder / "new.txt").write_text("x")
    os.utime(folder / "pump.md")
    report = index.preview([folder])
    assert (report.added, report.changed, report.unchanged) == (1, 1, 3)


def test_damaged_derived_files_are_told_and_written_anew(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([folder])
    hits = Retriever(index).search("volts", k=2)
    for file in index.path.glob("*.rows"):
        file.write_bytes(b"FAISS would crash on this")
    said: list[str] = []
    again = Index.open(index.path, said.append)
    assert [h.id for h in Retriever(again).search("volts", k=2)] == [h.id for h in hits]
    assert len(said) == 2 and all("rebuilt from the catalog" in line for line in said)
    assert len(again.verify()) == 2
    (index.path / "text-0-9-9.rows.part").touch()
    again.add([folder])
    assert again.verify() == []
    assert not list(index.path.glob("*.part"))


def test_a_long_run_is_searchable_from_segments_before_it_ends(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.Ingest, "_commit_ready", ingest.Ingest._flush)  # after every file
    monkeypatch.setattr(derive, "_EVERY", 1)
    monkeypatch.setattr(derive, "SMALL", 1)
    seen: list[int] = []
    real = derive.Derivation.run

    def run(self: derive.Derivation) -> None:
        real(self)
        seen.append(sum(s.count for m in ("text", "image") for s in self._writer.segments(m)))

    monkeypatch.setattr(derive.Derivation, "run", run)
    index = make_index()
    index.add([folder])
    assert seen == [1, 2, 3, 4, 4]
    assert index.verify() == []
    assert len(Retriever(index).search("volts candles", k=9)) == 4


def test_other_peoples_files_in_the_index_folder_stay(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    names = {"movie.mkv.part", "my.faiss", "table.rows", "catalog.sqlite.bak", "text-1.rows"}
    for name in names:
        (index.path / name).write_text("mine")
    (index.path / "text-0-9-9.rows").write_text("left by a killed writer")
    index.add([folder])
    assert names <= {f.name for f in index.path.iterdir()}
    assert not (index.path / "text-0-9-9.rows").exists()


def test_what_may_pass_is_tried_again(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    monkeypatch.setattr(readers, "_MODULE", "hostile_child")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    (folder / "crash.txt").write_text("this crashes its reader today")
    report = index.add([folder / "crash.txt"])
    assert "SIGSEGV" in next(iter(report.bad.values()))
    monkeypatch.undo()
    monkeypatch.setattr(encoders, "load", lambda name, tell: WordEncoder())
    assert index.add([folder / "crash.txt"]).added == 1


def test_a_search_sees_one_generation_while_a_writer_commits(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    writer = make_index()
    writer.add([folder])
    reader = Index.open(writer.path)
    with reader.reading() as view:
        (folder / "more.txt").write_text("The lamp and the pump, volts and candles.")
        writer.add([folder])
        found = [i for i, _ in reader.word_search("volts candles", "text", 9)]
        assert len(view.vectors["text"].rows(np.array(found))) == len(found)
        assert len(found) == 2
    assert len(Retriever(reader).search("volts candles", k=9, modality="text")) == 3


def test_two_first_writers_make_one_index(
    tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slower_than_another(name: str, tell: Any) -> WordEncoder:
        monkeypatch.setattr(encoders, "load", lambda name, tell: encoder)
        Index.create(tmp_path / "index", "words").close()
        return encoder

    monkeypatch.setattr(encoders, "load", slower_than_another)
    assert Index.create(tmp_path / "index", "words").status().files == 0


def test_a_first_index_loads_its_encoder_once(
    folder: Path, tmp_path: Path, encoder: WordEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def load(name: str, tell: Any) -> WordEncoder:
        loads.append(name)
        return encoder

    monkeypatch.setattr(encoders, "load", load)
    Index.create(tmp_path / "index", "words").add([folder])
    assert loads == ["words"]


def test_a_file_that_could_not_be_opened_is_tried_again(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    index = make_index()
    with monkeypatch.context() as patched:
        patched.setattr(ingest, "sha256_of_file", refuse)
        assert len(index.add([folder]).bad) == 4
    assert index.add([folder]).added == 4


def test_titles_and_headings_are_stored_short(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    text = (
        "# "
        + "title" * 20_000
        + "\n\n"
        + "A paragraph with enough words to stand by itself.\n\n" * 99
    )
    (folder / "long.md").write_text(text)
    index = make_index()
    index.add([folder])
    assert index.status().bytes < 4 * 2**20  # 80 MiB where each passage keeps it whole


def test_another_encoder_is_refused(
    folder: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    monkeypatch.setattr(encoders, "load", lambda name, tell: WordEncoder("e" * 64))
    with pytest.raises(IndexMismatch, match="was made by the encoder"):
        Index.create(index.path, "other")
    with pytest.raises(IndexMismatch):
        Retriever(Index.open(index.path)).search("volts")


def test_a_second_writer_is_refused(folder: Path, make_index: Callable[..., Index]) -> None:
    index = make_index()
    with writer_lock(index.path), pytest.raises(IndexLocked):
        index.add([folder])


def test_a_reader_follows_the_writer(folder: Path, make_index: Callable[..., Index]) -> None:
    writer = make_index()
    writer.add([folder])
    reader = Retriever(Index.open(writer.path))
    assert reader.search("candles", k=1, modality="text")[0].name == "lamp.txt"
    (folder / "sub" / "lamp.txt").unlink()
    (folder / "candles.txt").write_text("candles and more candles")
    writer.add([folder])
    assert reader.search("candles", k=1, modality="text")[0].name == "candles.txt"


def test_a_picture_that_changed_since_is_not_shown_as_what_was_found(
    folder: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([folder])
    hit = Retriever(index).search(image=str(folder / "red.png"), k=1, modality="image")[0]
    assert hit.name == "red.png"
    assert picture_of(hit).getpixel((0, 0)) == (255, 0, 0)
    Image.new("RGB", (60, 60), "white").save(folder / "red.png")
    with pytest.raises(BadFile, match="changed since"):
        picture_of(hit)
    (folder / "red.png").unlink()
    with pytest.raises(BadFile):
        picture_of(hit)


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from conftest import WordEncoder
from ragvis import encoder as encoders
from ragvis.documents import readers
from ragvis.index import Index, batches, ingest
from ragvis.store.catalog import Catalog
encoders.load = lambda name, tell: WordEncoder()
ingest._FILES_A_COMMIT = 4
batches._TEXTS = 1
puts, limit = 0, int(sys.argv[4])
real = Catalog.link
def link(self, *args):
    global puts
    puts += 1
    if puts == limit:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, *args)
Catalog.link = link
Index.create(sys.argv[1], "words").add([sys.argv[2]])
"""


@pytest.mark.parametrize("at", [1, 3, 6, 9, 11])
def test_killed_in_the_middle_it_goes_on_from_the_last_commit(
    tmp_path: Path, make_index: Callable[..., Index], encoder: WordEncoder, at: int
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for i in range(12):
        (files / f"{i}.txt").write_text(f"note number {i} about topic{i}")
    tests = str(Path(__file__).parent)
    arguments = [str(tmp_path / "index"), str(files), tests, str(at)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert done.returncode == -signal.SIGKILL
    index = make_index()
    kept = index.status().files
    assert kept <= at - 1 and kept % 4 == 0
    report = index.add([files])
    assert (report.added, report.unchanged) == (12 - kept, kept)
    assert len(texts(index)) == 12
    assert encoder.texts_encoded <= 12 - kept + len(UNRELATED_QUERIES)
