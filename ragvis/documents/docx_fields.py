"""Fields of Word documents: their instructions are not text, their results are."""

from __future__ import annotations

from lxml import etree

from ragvis.documents.docx_styles import is_on, value_of
from ragvis.documents.ooxml import qn

_TYPE = qn("w:fldCharType")


class Fields:
    """Follows the marks ``begin``, ``separate`` and ``end`` of fields within fields."""

    def __init__(self, is_balanced: bool = True) -> None:
        """A story whose fields do not all end would lose all its text: they are ignored there."""
        self._is_balanced = is_balanced
        self._open: list[bool] = []  # of each open field, whether its instructions go on
        self._codes = 0

    @classmethod
    def of(cls, root: etree._Element) -> Fields:
        """The fields of a story, before its first one."""
        marks = [mark.get(_TYPE) for mark in root.iter(qn("w:fldChar"))]
        return cls(marks.count("begin") == marks.count("end"))

    @property
    def are_in_code(self) -> bool:
        """Whether text belongs to a field's instructions."""
        return self._codes > 0

    def take(self, mark: etree._Element) -> None:
        """Go past a mark."""
        kind = mark.get(_TYPE) if self._is_balanced else None
        if kind == "begin":
            self._open.append(True)
            self._codes += 1
        elif kind == "separate" and self._open and self._open[-1]:
            self._open[-1] = False
            self._codes -= 1
        elif kind == "end" and self._open:
            self._codes -= self._open.pop()


def shown_by(mark: etree._Element) -> str:
    """What a form field shows, if it is a box to tick or a list to choose from; else nothing."""
    box = mark.find(f"{qn('w:ffData')}/{qn('w:checkBox')}")
    if box is not None:
        states = (box.find(qn(f"w:{name}")) for name in ("checked", "default"))
        state = next((state for state in states if state is not None), None)
        return "☒" if state is not None and is_on(state) else "☐"
    entries = [value_of(e) for e in mark.iter(qn("w:listEntry"))]
    choice = next(mark.iter(qn("w:result"), qn("w:default")), None) if entries else None
    number = value_of(choice) if choice is not None else "0"
    return entries[int(number)] if number.isdecimal() and int(number) < len(entries) else ""
