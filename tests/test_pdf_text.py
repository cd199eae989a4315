"""The text of PDFs: what is read of a page, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import image, one_page, stream, text, written
from reportlab.pdfgen.canvas import Canvas

from ragvis.documents import Document, read
from ragvis.documents.pdf_hyphens import known_words
from ragvis.documents.pdf_page import view
from ragvis.documents.pdf_text import RawText, merged, places, settled

CASES = Path(__file__).parent / "cases"


def text_of(document: Document) -> str:
    (page,) = document.pages
    return page.text


def lines(file: Path, *of: str) -> str:
    """The text of a page with these lines, as it is read."""
    canvas = Canvas(str(file))
    for n, line in enumerate(of):
        canvas.drawString(72, 760 - 14 * n, line)
    canvas.save()
    return text_of(read(file))


# --- hyphens ----------------------------------------------------------------------------------


def test_hyphens_of_part_numbers_stay() -> None:
    found = text_of(read(CASES / "pdf_hyphen" / "hyphen.pdf"))
    assert "LK-7719" in found and "X-ray" in found


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (("It is main-", "tained well."), "It is maintained well."),
        (("A well-", "known one is well-known."), "A well-known one"),
        (("Look it up on-", "line: it is online."), "up online:"),
        (("An UTF-", "8 text"), "UTF-8 text"),
        (("Give it to Rolls-", "Royce."), "Rolls-Royce."),
        (("It is out-of-", "date now."), "out-of-date"),
        (("At x.org/a-", "page it is."), "x.org/a-page"),
        (("The platform-", "specific part", "of a platform is specific."), "platform-specific"),
        (("Die Geschwin-", "digkeit"), "Geschwindigkeit"),
        (("It is pre-", "and post-war."), "pre- and post-war"),
        (("From 12-", "15 on"), "12-\n15"),
        (("foo -", "bar"), "foo -\nbar"),
        (("main- ", "tained"), "maintained"),
    ],
)
def test_the_documents_words_decide_about_hyphens(
    tmp_path: Path, of: tuple[str, ...], wanted: str
) -> None:
    assert wanted in lines(tmp_path / "a.pdf", *of)


@pytest.mark.parametrize(("code", "wanted"), [(b"2010", "maintained"), (b"00AD", "maintained")])
def test_other_hyphens_at_line_ends(tmp_path: Path, code: bytes, wanted: str) -> None:
    content = text(50, 700, b"It is main-") + text(50, 686, b"tained.") + text(50, 600, b"a-b")
    found = text_of(read(written(tmp_path, mapped(content, {b"-": code}))))
    assert wanted in found
    assert "a-b" in found or "a\u2010b" in found  # within a line it is drawn, so it is there


def test_a_word_that_stands_on_another_page_decides(tmp_path: Path) -> None:
    canvas = Canvas(str(tmp_path / "a.pdf"))
    canvas.drawString(72, 700, "The co-")
    canvas.drawString(72, 686, "operation")
    canvas.showPage()
    canvas.drawString(72, 700, "A co-operation is told of.")
    canvas.save()
    assert "co-operation" in read(tmp_path / "a.pdf").pages[0].text


CHARS = st.text(st.sampled_from("abcXY19-/. \n\u2010\u00ad\ufffe\U0001f600"), max_size=60)
SPANS = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 9)), max_size=4)


@given(chars=CHARS, stretches=SPANS)
def test_each_character_as_read_has_its_place(chars: str, stretches: list[Any]) -> None:
    spans = ((min(a, len(chars)), min(a + n, len(chars))) for a, n in stretches)
    raw = RawText(chars, merged(span for span in spans if span[0] < span[1]))
    words = known_words([chars, "abc ab-c"])
    found = settled(raw, words).text
    where = places(raw, words)
    assert len(where) == len(found) and where == sorted(where)
    for char, place in zip(found, where, strict=True):
        broken = chars[place] in "\ufffe\u2010\u00ad" and char in "- "
        assert char == chars[place] or broken
        assert not any(start <= place < end for start, end in raw.dropped)
    assert "\ufffe" not in found


# --- characters without a meaning -------------------------------------------------------------


def mapped(content: bytes, codes: dict[bytes, bytes]) -> bytes:
    """A page whose font says of some characters what they are, in UTF-16."""
    pairs = b"\n".join(b"<%02X> <%s>" % (ord(char), code) for char, code in codes.items())
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /A def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n%d beginbfchar\n%s\nendbfchar\n"
        b"endcmap end end" % (len(codes), pairs)
    )
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/ToUnicode 5 0 R>>"
    return one_page(content, stream(b"", cmap), font=font)


def test_a_page_of_control_characters_is_a_picture() -> None:
    document = read(CASES / "pdf_no_unicode" / "type3.pdf")
    assert not text_of(document).strip()
    assert [(f.page, f.bbox) for f in document.figures] == [(1, None)]


@pytest.mark.parametrize("first", [0xE000, 0xF020, 0xFFFD])
def test_private_and_lost_characters_are_no_text(tmp_path: Path, first: int) -> None:
    codes = {b"%c" % n: b"%04X" % min(first + n, 0xFFFD) for n in range(97, 123)}
    content = text(50, 700, b"nothing can be read here")
    document = read(written(tmp_path, mapped(content, codes)))
    assert not text_of(document).strip()
    assert len(document.figures) == 1


def test_a_page_that_is_partly_readable_is_text_and_picture(tmp_path: Path) -> None:
    codes = {b"%c" % n: b"E0%02X" % n for n in range(97, 123)}
    content = text(50, 700, b"THE PUMP RUNS AT TWELVE VOLTS") + text(50, 600, b"as is told below")
    document = read(written(tmp_path, mapped(content, codes)))
    assert text_of(document).split() == "THE PUMP RUNS AT TWELVE VOLTS".split()
    (picture,) = document.figures
    assert picture.bbox is None and "PUMP RUNS" in picture.near


def test_few_symbols_leave_a_text_as_it_is(tmp_path: Path) -> None:
    codes = {b"@": b"F0B7", b"0": b"F731", b"~": b"0001"}
    content = text(50, 700, b"@ The first of all points is 0") + text(50, 600, b"of which ~ holds")
    document = read(written(tmp_path, mapped(content, codes)))
    assert text_of(document) == "• The first of all points is 1\nof which holds"
    assert not document.figures


# --- hidden text ------------------------------------------------------------------------------

SEEN = text(50, 700, b"The pump runs at twelve volts.")


def hidden(content: bytes, *objects: bytes, **more: Any) -> bytes:
    return one_page(SEEN + content + text(50, 500, b"The end.", b"0 g"), *objects, **more)


@pytest.mark.parametrize(
    "content",
    [
        text(50, 600, b"SECRET words", b"1 1 1 rg"),
        text(50, 600, b"SECRET words", b"0.98 g"),
        text(50, 600, b"SECRET words", b"0 0 0 0 k"),
        text(50, 600, b"SECRET words", b"3 Tr") + b"0 Tr\n",
        text(50, 600, b"SECRET words", size=0.2),
        text(50, 900, b"SECRET words"),
        text(50, 600, b"SECRET words", b"q /Clear gs") + b"Q\n",
        b"q 0 0 1 rg 40 590 300 40 re f " + text(50, 600, b"SECRET words", b"3 Tr") + b"Q\n",
        b"q .01 0 0 .01 50 600 cm " + text(0, 0, b"SECRET words") + b"Q\n",
    ],
    ids=["white", "pale", "cmyk", "unpainted", "tiny", "outside", "clear", "on a box", "shrunk"],
)
def test_what_nobody_sees_is_not_read(tmp_path: Path, content: bytes) -> None:
    states = b"/ExtGState<</Clear<</ca 0>>>>"
    found = text_of(read(written(tmp_path, hidden(content, resources=states))))
    assert found == "The pump runs at twelve volts.\nThe end."


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_a_turned_and_cropped_page_hides_the_same(tmp_path: Path, turned: int) -> None:
    page = b"/MediaBox[1000 1000 1600 1800]/CropBox[1020 1300 1580 1790]/Rotate %d" % turned
    shown = text(1050, 1700, b"The pump runs.") + text(1050, 1500, b"WHITE", b"1 g")
    dark = b"0 g 1040 1390 300 40 re f " + text(1050, 1400, b"On black.", b"1 g")
    outside = text(1050, 1200, b"OUTSIDE", b"0 g")
    found = text_of(read(written(tmp_path, one_page(shown + dark + outside, page=page))))
    assert sorted(filter(None, found.split("\n"))) == ["On black.", "The pump runs."]


def test_what_is_seen_stays(tmp_path: Path) -> None:
    """White on dark, on a picture; the invisible text behind a scan."""
    noise = image(b"/ColorSpace/DeviceGray/BitsPerComponent 8", bytes(range(100)) * 100)
    content = (
        b"0 0 .5 rg 40 590 300 40 re f " + text(50, 600, b"On blue.", b"1 g")
        + b"q 300 0 0 60 40 390 cm /X Do Q " + text(50, 400, b"On a picture.", b"1 g")
        + text(50, 420, b"Behind a scan.", b"3 Tr") + b"0 Tr "
    )  # fmt: skip
    data = hidden(content, noise, resources=b"/XObject<</X 5 0 R>>")
    found = text_of(read(written(tmp_path, data)))
    for words in ("On blue.", "On a picture.", "Behind a scan.", "The end."):
        assert words in found


def test_hidden_words_do_not_come_back_near_a_picture(tmp_path: Path) -> None:
    red = image(b"/ColorSpace/DeviceRGB/BitsPerComponent 8", b"\xff\0\0" * 10_000)
    content = b"q 100 0 0 100 50 570 cm /X Do Q " + text(50, 550, b"SECRET", b"1 g")
    content += text(50, 530, b"A red box.", b"0 g")
    document = read(written(tmp_path, hidden(content, red, resources=b"/XObject<</X 5 0 R>>")))
    assert "A red box." in document.figures[0].near and "SECRET" not in document.figures[0].near


def test_text_in_a_form_is_looked_at_too(tmp_path: Path) -> None:
    inner = text(5, 5, b"SECRET", b"1 g") + text(5, 50, b"Shown.", b"0 g")
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 300 300]/Resources<</Font<</F 6 0 R>>>>"
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    data = hidden(b"q 1 0 0 1 50 300 cm /X Do Q ", stream(head, inner), font,
                  resources=b"/XObject<</X 5 0 R>>")  # fmt: skip
    found = text_of(read(written(tmp_path, data)))
    assert "Shown." in found and "SECRET" not in found


# --- the place of a passage -------------------------------------------------------------------


def test_a_passage_is_found_behind_all_that_shifts_it(tmp_path: Path) -> None:
    """Hidden and broken words, characters beyond UTF-16's first plane, and without a meaning."""
    before = text(50, 700, b"Two smile: @@ and ~ says nothing, it is main-") + text(
        50, 686, b"tained"
    )
    before += text(50, 672, b"HIDDEN", b"1 g") + text(50, 658, b"and ^ goes on", b"0 g")
    content = before + text(50, 500, b"The end of it.") + text(50, 400, b"Behind it.")
    codes = {b"@": b"D83DDE00", b"~": b"0000", b"^": b"D800"}
    file = written(tmp_path, mapped(content, codes))
    found = text_of(read(file))
    assert "maintained" in found and "\U0001f600" in found and "HIDDEN" not in found
    start = found.index("The end")
    ((left, top, wide, high),) = view(file, 1, (start, start + len("The end of it.")), None).boxes
    assert left == pytest.approx(50 / 600, abs=0.003)
    assert top + high == pytest.approx(300 / 800, abs=0.006) and high < 0.02
    assert 0.1 < wide < 0.15
    (broken,) = view(file, 1, (found.index("tained"), found.index("tained") + 6), None).boxes
    assert broken[1] + broken[3] == pytest.approx(114 / 800, abs=0.006)
