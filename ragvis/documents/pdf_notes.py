"""What is written on a page of a PDF without being its text: filled fields, free text, comments."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ragvis.documents.pdf_text import Line
from ragvis.types import Box

MAX_NOTES = 2000  # looked at on one page
MAX_OPTIONS = 1000  # of one list
_MAX_STRING = 2**20  # bytes of one value, in UTF-16
_MAX_LENGTH = 2**20  # characters of all of them on one page
_MAX_QUOTE = 200  # characters of the text that a comment is about
_LABEL_WIDTH = 300  # points beside a field in which its label is looked for
_LABEL_HEIGHT = 20  # the same above it
_LEADERS = " \t:.…_\u00a0"  # between a label and its field
_COMMENTS = frozenset(
    getattr(pdfium_c, f"FPDF_ANNOT_{name}")
    for name in (
        *("TEXT", "HIGHLIGHT", "UNDERLINE", "SQUIGGLY", "STRIKEOUT", "CARET", "INK"),
        *("LINE", "SQUARE", "CIRCLE", "POLYGON", "POLYLINE", "STAMP"),
    )
)
_READ = _COMMENTS | {pdfium_c.FPDF_ANNOT_FREETEXT, pdfium_c.FPDF_ANNOT_WIDGET}
_UNSEEN = pdfium_c.FPDF_ANNOT_FLAG_HIDDEN | pdfium_c.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = pdfium_c.FPDF_FORMFLAG_TEXT_PASSWORD
_CHOICES = (pdfium_c.FPDF_FORMFIELD_COMBOBOX, pdfium_c.FPDF_FORMFIELD_LISTBOX)
# What a producer calls the state of a button, rather than what it stands for
_SAYS_NOTHING = re.compile(r"(?:on|off|yes|true|checked|choice|option)?[\s_]*\d*", re.IGNORECASE)
_INDEX = re.compile(r"\[\d+\]")


def lines_of(page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> tuple[Line, ...]:
    """The fields that are filled in, free text and comments of a page, in their order on file."""
    lines: dict[Line, None] = {}  # a field may stand on a page twice
    labels = _Labels(page, textpage)
    length = 0
    for note in _notes(page, _READ):
        text = _text_of(note, page, labels)
        length += len(text)
        if text and length <= _MAX_LENGTH:
            lines.setdefault(Line(text, note.box))
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class _Note:
    """An annotation: pdfium's own, what kind it is, and where it stands."""

    handle: Any
    kind: int
    box: Box

    def string(self, key: bytes) -> str:
        """A value of it, or ""."""
        return _string(
            lambda buffer, size: pdfium_c.FPDFAnnot_GetStringValue(self.handle, key, buffer, size)
        )

    def has(self, key: bytes) -> bool:
        return bool(pdfium_c.FPDFAnnot_HasKey(self.handle, key))


def _notes(page: pdfium.PdfPage, kinds: Set[int]) -> Iterator[_Note]:
    """The annotations of some kinds that can be seen, each closed after its use."""
    for number in range(min(pdfium_c.FPDFPage_GetAnnotCount(page), MAX_NOTES)):
        handle = pdfium_c.FPDFPage_GetAnnot(page, number)
        if not handle:
            continue
        try:
            kind = pdfium_c.FPDFAnnot_GetSubtype(handle)  # nearly all are links
            if kind in kinds and not pdfium_c.FPDFAnnot_GetFlags(handle) & _UNSEEN:
                yield _Note(handle, kind, _box(handle))
        finally:
            pdfium_c.FPDFPage_CloseAnnot(handle)


def _box(handle: Any) -> Box:
    rect = pdfium_c.FS_RECTF()
    pdfium_c.FPDFAnnot_GetRect(handle, rect)
    return rect.left, rect.bottom, rect.right, rect.top


def _text_of(note: _Note, page: pdfium.PdfPage, labels: _Labels) -> str:
    if note.kind == pdfium_c.FPDF_ANNOT_FREETEXT:
        return _plain(note.string(b"Contents"))
    if note.kind == pdfium_c.FPDF_ANNOT_WIDGET:
        return _Field(note, page.formenv, labels).text() if page.formenv else ""
    return _comment(note, labels)


def _comment(note: _Note, labels: _Labels) -> str:
    """A comment says that it is one, by whom, and about which words."""
    said = _plain(note.string(b"Contents"))
    if not said or note.has(b"StateModel"):  # "Accepted": of a review, about another comment
        return ""
    author, quote = _plain(note.string(b"T")), labels.under(note)
    by = f" by {author}" if author else ""
    about = f" on “{quote}”" if quote else ""
    return f"Comment{by}{about}: {said}"


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a form."""

    note: _Note
    form: Any
    labels: _Labels

    def text(self) -> str:
        """``label: value``, or "" where nothing is filled in."""
        kind = pdfium_c.FPDFAnnot_GetFormFieldType(self.form, self.note.handle)
        if kind == pdfium_c.FPDF_FORMFIELD_TEXTFIELD:
            label, value = self._label(), self._text_value()
        elif kind == pdfium_c.FPDF_FORMFIELD_CHECKBOX:
            label, value = self._label_of_button(), "yes" if self._is_checked() else ""
        elif kind == pdfium_c.FPDF_FORMFIELD_RADIOBUTTON:
            label, value = self._name(), self._option() if self._is_checked() else ""
        elif kind in _CHOICES:
            label, value = self._label(), ", ".join(self._selected()) or self._value()
        else:
            return ""
        return f"{label}: {value}" if label and value else value

    def _text_value(self) -> str:
        flags = pdfium_c.FPDFAnnot_GetFormFieldFlags(self.form, self.note.handle)
        return "" if flags & _PASSWORD else self._value()

    def _value(self) -> str:
        return _plain(self._string(pdfium_c.FPDFAnnot_GetFormFieldValue))

    def _is_checked(self) -> bool:
        return bool(pdfium_c.FPDFAnnot_IsChecked(self.form, self.note.handle))

    def _option(self) -> str:
        """What a chosen button stands for."""
        exported = _plain(self._string(pdfium_c.FPDFAnnot_GetFormFieldExportValue))
        says = exported and not _SAYS_NOTHING.fullmatch(exported)
        return exported if says else self.labels.right_of(self.note.box) or exported or "yes"

    def _selected(self) -> Iterator[str]:
        options = pdfium_c.FPDFAnnot_GetOptionCount(self.form, self.note.handle)
        for n in range(min(options, MAX_OPTIONS)):
            if pdfium_c.FPDFAnnot_IsOptionSelected(self.form, self.note.handle, n):
                yield _plain(self._string(pdfium_c.FPDFAnnot_GetOptionLabel, n))

    def _label(self) -> str:
        box = self.note.box
        return self._told() or self.labels.left_of(box) or self.labels.above(box) or self._name()

    def _label_of_button(self) -> str:
        box = self.note.box
        return self._told() or self.labels.right_of(box) or self.labels.left_of(box) or self._name()

    def _told(self) -> str:
        """The name that a person is told when pointing at it."""
        return _label(self._string(pdfium_c.FPDFAnnot_GetFormFieldAlternateName))

    def _name(self) -> str:
        """Or else the last part of the one that programs use, ``form1[0].first_name[0]``."""
        name = self._string(pdfium_c.FPDFAnnot_GetFormFieldName)
        return self._told() or _label(_INDEX.sub("", name).rpartition(".")[2].replace("_", " "))

    def _string(self, get: Callable[..., int], *which: int) -> str:
        return _string(lambda buffer, size: get(self.form, self.note.handle, *which, buffer, size))


class _Labels:
    """The words that are printed beside fields, and under marks."""

    def __init__(self, page: pdfium.PdfPage, textpage: pdfium.PdfTextPage) -> None:
        self._page = page
        self._text = textpage

    def left_of(self, box: Box) -> str:
        left, bottom, right, top = box
        before = [f[2] for f in self._in_row(box) if f[2] <= (left + right) / 2]
        start = max([left - _LABEL_WIDTH, *before])
        return _label(self._within((start, bottom, left, top))[-1:])

    def right_of(self, box: Box) -> str:
        left, bottom, right, top = box
        after = [f[0] for f in self._in_row(box) if f[0] >= (left + right) / 2]
        end = min([right + _LABEL_WIDTH, *after])
        return _label(self._within((right, bottom, end, top))[:1])

    def above(self, box: Box) -> str:
        left, _, right, top = box
        return _label(self._within((left, top, right, top + _LABEL_HEIGHT))[-1:])

    def under(self, note: _Note) -> str:
        """The words that a mark lies on."""
        count = pdfium_c.FPDFAnnot_CountAttachmentPoints(note.handle)
        words: list[str] = []
        for n in range(min(count, _MAX_QUOTE)):
            quad = pdfium_c.FS_QUADPOINTSF()
            if pdfium_c.FPDFAnnot_GetAttachmentPoints(note.handle, n, quad):
                xs, ys = (quad.x1, quad.x2, quad.x3, quad.x4), (quad.y1, quad.y2, quad.y3, quad.y4)
                words += self._within((min(xs), min(ys), max(xs), max(ys)))
        return " ".join(words)[:_MAX_QUOTE]

    def _in_row(self, box: Box) -> list[Box]:
        middle = (box[1] + box[3]) / 2
        return [f for f in self._fields if f[1] <= middle <= f[3] and f != box]

    @functools.cached_property
    def _fields(self) -> list[Box]:
        return [note.box for note in _notes(self._page, {pdfium_c.FPDF_ANNOT_WIDGET})]

    def _within(self, box: Box) -> list[str]:
        """The lines in a box; none on a turned page, where beside means something else."""
        if self._page.get_rotation():
            return []
        text = self._text.get_text_bounded(*box).replace("\x02", "-")
        return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _label(words: str | Iterable[str]) -> str:
    text = words if isinstance(words, str) else " ".join(words)
    return " ".join(text.split()).strip(_LEADERS)


def _plain(text: str) -> str:
    """With line feeds alone, and nothing around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _string(read: Callable[[Any, int], int]) -> str:
    """A string that pdfium writes as UTF-16 with a NUL behind it."""
    size = min(int(read(None, 0)), _MAX_STRING)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    if read(buffer, size) > size:
        return ""
    return bytes(buffer)[: size - 2].decode("utf-16-le", "replace")
