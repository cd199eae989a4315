"""Tables of Word documents: which columns a row's cells cover, and which rows are no more there."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from ragvis.documents.docx_styles import is_on, value_of
from ragvis.documents.ooxml import qn
from ragvis.documents.table import Cell, Slot, arrange

# Between a table and its rows, and between a row and its cells.
_WRAPPERS = {qn(f"w:{name}") for name in ("sdt", "sdtContent", "customXml", "ins", "moveTo")}
_MAX_SPAN = 1000


def slots_of(table: etree._Element) -> dict[etree._Element, list[Slot]]:
    """The slots of each of its rows; none if no cell is merged."""
    rows = list(_within(table, qn("w:tr")))
    spans = _Spans()
    cells = [spans.row(row, is_header=i == 0 or _is_header(row)) for i, row in enumerate(rows)]
    if not spans.are_any:
        return {}
    return dict(zip(rows, arrange([[c.cell() for c in line] for line in cells]), strict=True))


def is_deleted(row: etree._Element) -> bool:
    """Whether a row is hidden, or its deletion is being tracked."""
    properties = row.find(qn("w:trPr"))
    if properties is None:
        return False
    hidden = properties.find(qn("w:hidden"))
    return properties.find(qn("w:del")) is not None or (hidden is not None and is_on(hidden))


def is_continued(cell: etree._Element) -> bool:
    """Whether a cell is merged into the one above it: Word shows nothing that is in it."""
    merge = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
    return merge is not None and value_of(merge) in ("", "continue")


class _Growing:
    """A cell that cells below it may continue."""

    def __init__(self, node: etree._Element | None, across: int, is_header: bool) -> None:
        self.node = node
        self.across = across
        self.down = 1
        self.is_header = is_header

    def cell(self) -> Cell:
        return Cell(self.node, self.across, self.down, self.is_header)


class _Spans:
    """Goes down a table and counts the rows of merged cells."""

    def __init__(self) -> None:
        self.are_any = False
        self._above: dict[int, _Growing] = {}  # cells of the row above, by their first column

    def row(self, row: etree._Element, is_header: bool) -> list[_Growing]:
        """The cells that begin in a row; blank columns before it are one without a node."""
        cells: list[_Growing] = []
        here: dict[int, _Growing] = {}
        column = _number(row.find(f"{qn('w:trPr')}/{qn('w:gridBefore')}"), 0)
        if column:
            cells.append(_Growing(None, column, is_header=False))
            self.are_any = True
        for node in _within(row, qn("w:tc")):
            across = _number(node.find(f"{qn('w:tcPr')}/{qn('w:gridSpan')}"), 1)
            self.are_any |= across > 1
            above = self._above.get(column) if is_continued(node) else None
            if above is not None:
                above.down += 1
                self.are_any = True
                here[column] = above
            else:
                here[column] = _Growing(node, across, is_header)
                cells.append(here[column])
            column += across
        self._above = here
        return cells


def _within(node: etree._Element, tag: str) -> Iterator[etree._Element]:
    """A table's rows or a row's cells, those in content controls too."""
    stack = list(reversed(node))
    while stack:
        child = stack.pop()
        if child.tag == tag:
            yield child
        elif child.tag in _WRAPPERS:
            stack.extend(reversed(child))


def _is_header(row: etree._Element) -> bool:
    mark = row.find(f"{qn('w:trPr')}/{qn('w:tblHeader')}")
    return mark is not None and is_on(mark)


def _number(node: etree._Element | None, default: int) -> int:
    value = value_of(node)[:6] if node is not None else ""
    return min(int(value), _MAX_SPAN) if value.isascii() and value.isdecimal() else default
