"""The comparing of two readers' words, on small real files."""

from __future__ import annotations

import sys
from pathlib import Path

import docx
import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

sys.path.insert(0, str(Path(__file__).parent / "reliability"))

import corpus
import second_readers
from corpus import Entry
from inputs import CACHE
from second_readers import Report, Row, Second, ours, row, theirs
from second_report import print_changes, print_report
from word_difference import compare, words_of

SAID = "The ferry leaves at nine. Überfahrt: 12 Euro."
MODULES = {"pdf": "pdfminer", "docx": "docx2txt", "html": "html2text"}


def test_words_have_one_form() -> None:
    assert words_of("Ef\ufb01cient soft\u00adware, CAFE\u0301!") == [
        "efficient",
        "software",
        "café",
    ]


def test_a_word_that_one_side_lacks_is_told() -> None:
    found = compare("the red boat", "the red boat sails at nine, nine")
    assert (found.lost, found.extra, found.spacing) == (4, 0, 0)
    assert found.examples[0] == ("nine×2", "sails", "at")
    assert compare("the red boat sails", "the boat sails").extra == 1


def test_spacing_is_no_loss() -> None:
    found = compare("the exam-\nple of a foot note", "the example of a footnote")
    assert (found.lost, found.extra, found.spacing) == (0, 0, 6)


def test_letters_in_other_words_do_not_stand_for_a_lost_word() -> None:
    assert compare("a cart", "a cart and art").lost == 2


def test_a_title_is_kept_elsewhere() -> None:
    found = compare("body", "title body", elsewhere="A title")
    assert (found.lost, found.elsewhere) == (0, 1)


def test_order_is_the_share_of_neighbours() -> None:
    assert compare("a b c d", "a b c d").order == 1.0
    assert compare("c d a b", "a b c d").order == pytest.approx(2 / 3)


def written(kind: str, folder: Path) -> Path:
    path = folder / f"ferry.{ {'text': 'txt', 'picture': 'png'}.get(kind, kind) }"
    if kind == "pdf":
        canvas = Canvas(str(path))
        canvas.drawString(72, 700, SAID)
        canvas.save()
    elif kind == "docx":
        document = docx.Document()
        document.add_paragraph(SAID)
        document.save(str(path))
    elif kind == "html":
        path.write_text(f"<html><head><title>No word</title></head><p>{SAID}</p></html>", "utf-8")
    elif kind == "text":
        path.write_text(SAID, "utf-8")
    else:
        Image.new("RGB", (40, 30), "teal").save(path)
    return path


def compared(entry: Entry, reader: str) -> Row:
    second = Second()
    ((_, mine),) = ours([entry])
    try:
        return row(entry, reader, mine, second.read(entry, reader))
    finally:
        second.close()


@pytest.mark.parametrize("kind", ["pdf", "docx", "html", "text", "picture"])
def test_two_readers_agree(kind: str, tmp_path: Path) -> None:
    reader = MODULES.get(kind) or {"text": "named", "picture": "pillow"}[kind]
    if kind in MODULES:
        pytest.importorskip(reader)
    entry = Entry(
        written(kind, tmp_path), kind, "made", "ferry", "utf-8" if kind == "text" else None
    )
    found = compared(entry, reader)
    assert (found.state, found.theirs_error) == ("both", None)
    assert (found.difference.lost, found.difference.extra) == (0, 0)
    assert found.difference.ours == found.difference.theirs == (1 if kind == "picture" else 8)
    assert found.difference.order == pytest.approx(1.0)


def test_a_wrong_encoding_shows(tmp_path: Path) -> None:
    path = written("text", tmp_path)
    found = compared(Entry(path, "text", "made", "ferry", "cp1251"), "named")
    assert (found.difference.lost, found.difference.extra) == (1, 1)


def test_who_refused_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "not.docx"
    path.write_bytes(b"no archive")
    found = compared(Entry(path, "docx", "made", "not", "latin-1"), "named")
    assert found.state == "ours-bad" and found.ours_error == "not a .docx file"
    path = tmp_path / "odd.txt"
    path.write_bytes(b"\xff\xfeo\x00k\x00")
    found = compared(Entry(path, "text", "made", "odd", "utf-8"), "named")
    assert found.state == "theirs-bad" and "UnicodeDecodeError" in (found.theirs_error or "")


def test_a_second_reader_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Entry(written("text", tmp_path), "text", "made", "ferry", "utf-8")
    second = Second()
    monkeypatch.setattr(second_readers, "SECONDS", 0.0)
    assert second.read(entry, "named").error == second_readers.LATE
    monkeypatch.undo()
    assert second.read(entry, "named").text == SAID
    second.close()


def test_a_second_reader_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(written("text", tmp_path), "text", "made", "ferry", "utf-8")
    first = theirs([entry], "named", tmp_path)
    monkeypatch.setattr(Second, "read", None)
    assert theirs([entry], "named", tmp_path) == first
    assert first[0].text == SAID


def test_files_of_a_source_have_their_encodings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / CACHE / "chardet"
    place = root / "chardet-4.0.0" / "tests" / "windows-1251-bulgarian"
    place.mkdir(parents=True)
    (root / "complete").touch()
    (place / "feed.xml").write_bytes("Пристига в девет".encode("cp1251"))
    (place / "notes.py").write_text("nothing to read")
    monkeypatch.setattr(corpus, "FILES", {"chardet": corpus.FILES["chardet"]})
    (entry,) = corpus.entries(tmp_path, {"text"}, {})
    assert (entry.kind, entry.encoding, entry.path.suffix) == ("text", "cp1251", ".txt")
    assert compared(entry, "named").difference.lost == 0


def test_tables_tell_the_worst_first(capsys: pytest.CaptureFixture[str]) -> None:
    rows = []
    for name, said in (("good", SAID), ("worse", "The ferry"), ("bad", SAID[:-5])):
        told = compare(said, SAID), ""
        rows.append(Row("text", "made", name, name, "named", "both", None, None, *told))
    print_report(Report(rows, {"pandoc": "no apt"}), 20)
    said = capsys.readouterr().out
    assert "skipped: pandoc: no apt" in said and "1 of 3 files without a difference" in said
    assert said.index("made worse") < said.index("made bad")
    assert "made good" not in said


def test_two_runs_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    def report(lost: int) -> dict[str, object]:
        about = {"kind": "pdf", "source": "made", "name": "a.pdf", "path": "a", "reader": "other"}
        return {"rows": [{**about, "state": "both", "difference": {"lost": lost, "extra": 0}}]}

    print_changes(report(5), report(2))
    said = capsys.readouterr().out
    assert "pdf against other: lost 5 -> 2, extra 0 -> 0" in said
    assert "-3" in said and "a.pdf" in said
