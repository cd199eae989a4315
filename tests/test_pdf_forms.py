"""Forms that are filled in, free text and comments of PDFs: read, drawn, and found on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pdf_files import one_page, text, written
from reportlab.pdfgen.canvas import Canvas

from ragvis.documents import read
from ragvis.documents.pdf_page import view

FORM = Path(__file__).parent / "cases" / "pdf_form" / "form.pdf"


def test_what_is_filled_in_is_read_and_drawn() -> None:
    (page,) = read(FORM).pages
    assert page.number == 1 and "Name: Orla Quill" in page.text
    start = page.text.index("Name: Orla Quill")
    seen = view(FORM, 1, (start, len(page.text)), None)
    ((left, top, width, height),) = seen.boxes
    assert (left, top) == pytest.approx((150 / 595.3, 1 - 700 / 841.9), abs=0.002)
    w, h = seen.picture.size
    box = (left * w, top * h, (left + width) * w, (top + height) * h)
    field = seen.picture.crop(tuple(map(round, box))).convert("L").tobytes()
    assert sum(level < 100 for level in field) > 150  # its letters, on the field's light blue


def fields(file: Path) -> str:
    """The lines of a page with one field of each kind."""
    canvas = Canvas(str(file))
    form = canvas.acroForm
    canvas.drawString(50, 705, "Street:")
    form.textfield(name="f1_01", x=150, y=700, width=200, height=20, value="3 Elm Road")
    form.textfield(name="f1_02", x=150, y=670, width=200, height=20, value="")
    form.textfield(name="s", tooltip="Password", x=150, y=640, width=200, height=20,
                   value="hunter2", fieldFlags="password")  # fmt: skip
    form.checkbox(name="news", tooltip="Send the newsletter", x=50, y=600, checked=True)
    form.checkbox(name="post", x=50, y=570, checked=True)
    canvas.drawString(80, 575, "By post")
    form.checkbox(name="fax", tooltip="By fax", x=50, y=540, checked=False)
    for n, size in enumerate(("Small", "Large")):
        form.radio(name="size", tooltip="Size", value=size, selected=n == 1, x=50, y=500 - 30 * n)
    form.choice(name="land", tooltip="Country", value="no", x=50, y=400, width=90, height=20,
                options=[("Norway", "no"), ("Peru", "pe")])  # fmt: skip
    form.listbox(name="pets", tooltip="Pets", value="Cat", x=50, y=300, width=90, height=60,
                 options=["Cat", "Dog", "Newt"])  # fmt: skip
    canvas.save()
    (page,) = read(file).pages
    return page.text


def test_each_kind_of_field_tells_its_value(tmp_path: Path) -> None:
    found = fields(tmp_path / "form.pdf").partition("\n\n")[2].split("\n")
    assert found == [
        "Street: 3 Elm Road",
        "Send the newsletter: yes",
        "By post: yes",
        "Size: Large",
        "Country: Norway",
        "Pets: Cat",
    ]


def note(kind: bytes, more: bytes = b"", box: bytes = b"50 600 250 640") -> bytes:
    return b"<</Type/Annot/Subtype/%s/Rect[%s]%s>>" % (kind, box, more)


def noted(folder: Path, *notes: bytes, rotate: int = 0, **more: Any) -> Path:
    numbers = b" ".join(b"%d 0 R" % (5 + n) for n in range(len(notes)))
    page = b"/MediaBox[0 0 600 800]/Rotate %d/Annots[%s]" % (rotate, numbers)
    content = text(50, 700, b"The pump runs at twelve volts.")
    return written(folder, one_page(content, *notes, page=page, **more))


SAID = b"/T(Ann Lee)/Contents(Which volts?)"
ON_PUMP = b"/QuadPoints[50 712 100 712 50 697 100 697]"


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (note(b"FreeText", b"/Contents(Draft of May)"), "Draft of May"),
        (note(b"Text", SAID), "Comment by Ann Lee: Which volts?"),
        (note(b"Text", b"/Contents(Why)"), "Comment: Why"),
        (note(b"Highlight", SAID + ON_PUMP), "Comment by Ann Lee on “The pump”: Which volts?"),
        (note(b"StrikeOut", SAID + ON_PUMP), "Comment by Ann Lee on “The pump”: Which volts?"),
        (note(b"Square", SAID), "Comment by Ann Lee: Which volts?"),
        (note(b"Text", b"/Contents<FEFF00FC>"), "Comment: ü"),
    ],
)
def test_free_text_is_text_and_comments_say_that_they_are(
    tmp_path: Path, one: bytes, line: str
) -> None:
    file = noted(tmp_path, one)
    (page,) = read(file).pages
    assert page.text == f"The pump runs at twelve volts.\n\n{line}"
    start = page.text.index(line)
    assert view(file, 1, (start, start + 3), None).boxes == (
        pytest.approx((50 / 600, 160 / 800, 200 / 600, 40 / 800), abs=0.001),
    )


@pytest.mark.parametrize(
    "one",
    [
        note(b"Text", b"/F 2/Contents(Hidden)"),
        note(b"Popup", b"/Contents(Which volts?)"),
        note(b"Highlight", ON_PUMP),
        note(b"Link", b"/Contents(A link)"),
        note(b"Text", SAID + b"/StateModel(Review)/State(Accepted)"),
    ],
)
def test_what_says_nothing_or_is_hidden_is_not_read(tmp_path: Path, one: bytes) -> None:
    (page,) = read(noted(tmp_path, one)).pages
    assert page.text == "The pump runs at twelve volts."


@pytest.mark.parametrize(
    ("rotate", "box"),
    [
        (0, (50 / 600, 160 / 800, 200 / 600, 40 / 800)),
        (90, (600 / 800, 50 / 600, 40 / 800, 200 / 600)),
        (180, (350 / 600, 600 / 800, 200 / 600, 40 / 800)),
        (270, (160 / 800, 350 / 600, 40 / 800, 200 / 600)),
    ],
)
def test_a_note_is_found_on_a_turned_page(
    tmp_path: Path, rotate: int, box: tuple[float, ...]
) -> None:
    file = noted(tmp_path, note(b"Text", SAID), rotate=rotate)
    (page,) = read(file).pages
    start = page.text.index("Comment")
    assert view(file, 1, (start, start + 9), None).boxes == (pytest.approx(box, abs=0.001),)


def test_a_span_over_text_and_note_has_both_boxes(tmp_path: Path) -> None:
    file = noted(tmp_path, note(b"Text", SAID))
    (page,) = read(file).pages
    assert len(view(file, 1, (0, len(page.text)), None).boxes) == 2
    assert len(view(file, 1, (0, 8), None).boxes) == 1


def test_a_form_in_xfa_is_reported(tmp_path: Path) -> None:
    catalog = b"/NeedsRendering true/AcroForm<</XFA(x)/Fields[]>>"
    document = read(written(tmp_path, one_page(text(50, 700, b"Please wait."), catalog=catalog)))
    assert "XFA" in document.unread["form"]
    assert dict(read(FORM).unread) == {}


def test_a_page_of_countless_notes_is_read(tmp_path: Path) -> None:
    many = noted(tmp_path, *[note(b"Text", b"/Contents(%d)" % n) for n in range(3000)])
    (page,) = read(many).pages
    assert page.text.count("Comment") == 2000
