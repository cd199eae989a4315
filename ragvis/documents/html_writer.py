"""A page's text in the order of its elements, with its own stack: pages nest deeper than Python
recurses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from ragvis.documents import formula
from ragvis.documents.html_style import Declarations, StyleSheet
from ragvis.documents.html_visibility import Seen, is_left_out
from ragvis.documents.table import Cell, Slot, arrange
from ragvis.documents.text_builder import TextBuilder
from ragvis.documents.text_tokens import Break, Story

# Never shown by a browser that runs scripts and plays media.
_LEFT_OUT = frozenset(
    "script style template head iframe noscript noembed noframes audio video canvas datalist "
    "annotation annotation-xml defs metadata".split()
)
_BREAKS = {
    **dict.fromkeys(
        "address article aside blockquote body center details dialog dir div dl fieldset "
        "figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr listing main menu nav "
        "ol optgroup p plaintext pre search section select table textarea ul xmp".split(),
        Break.PARAGRAPH,
    ),
    **dict.fromkeys("tr dt dd legend option summary caption".split(), Break.LINE),
    **dict.fromkeys("button input label".split(), Break.SPACE),
    "br": Break.FEED,
    "li": Break.ITEM,
}
_DISPLAYED = {
    **dict.fromkeys("block flex grid table list-item flow-root table-row".split(), Break.LINE),
    **dict.fromkeys("inline-block inline-flex inline-grid table-cell".split(), Break.SPACE),
}
_HEADINGS = frozenset(f"h{i}" for i in range(1, 7))
_PRE = frozenset(("pre", "textarea", "listing", "xmp", "plaintext"))
_TYPED = frozenset(
    (
        "",
        "text",
        "search",
        "tel",
        "url",
        "email",
        "number",
        "date",
        "time",
    )
)
_TABLE_PARTS = frozenset(("thead", "tbody", "tfoot"))
_MAX_SPAN = 1000  # columns, as in the standard of HTML


@dataclass(frozen=True, slots=True)
class _State:
    """What children inherit."""

    seen: Seen
    is_pre: bool = False


@dataclass(frozen=True, slots=True)
class _Entered:
    """An element whose end is still to come."""

    node: etree._Element
    state: _State  # around it
    kind: Break | None
    closes: str = ""  # what it opened


class HtmlWriter:
    """Writes a page's visible text; its pictures are marked under their elements."""

    def __init__(self, sheet: StyleSheet, seen: Seen) -> None:
        self._sheet = sheet
        self._seen = seen
        self._builder = TextBuilder()
        self._slots: dict[etree._Element, list[Slot]] = {}  # of each row of a table with spans
        self._layouts: set[etree._Element] = set()  # rows of tables that are frames
        self._rows: list[etree._Element] = []  # rows and cells that are open
        self._stack: list[Any] = []  # text, elements with their state, and ends of elements

    def write(self, root: etree._Element) -> Story:
        """The text of all that is in the tree."""
        self._stack.append((root, _State(self._seen)))
        while self._stack:
            entry = self._stack.pop()
            if isinstance(entry, _Entered):
                self._leave(entry)
            elif isinstance(entry, str):
                self._builder.write_inline(entry)
            else:
                self._visit(*entry)
        return self._builder.story()

    def _visit(self, node: etree._Element, state: _State) -> None:
        if isinstance(node.tag, str) and not self._is_left_out(node):
            declared = self._sheet.of(node)
            if not is_left_out(node, declared):
                self._enter(node, state, declared)
                return
        self._say(node.tail, state)

    def _is_left_out(self, node: etree._Element) -> bool:
        return node.tag in _LEFT_OUT and not (
            node.tag == "template" and (node.get("shadowrootmode") or node.get("shadowroot"))
        )

    def _enter(self, node: etree._Element, state: _State, declared: Declarations) -> None:
        kind = _BREAKS.get(node.tag)
        kind = _DISPLAYED.get(declared.get("display", "")) if kind is None else kind
        inner = self._inner(node, state, declared)
        if kind is not None:
            self._builder.add_break(kind)
        self._stack.append(_Entered(node, state, kind, self._open(node, inner)))
        if node.tag == "input":
            self._say(_typed(node), inner)
        self._push_children(node, inner)
        self._say(_own_text(node), inner)

    def _inner(self, node: etree._Element, state: _State, declared: Declarations) -> _State:
        spaces = declared.get("white-space", "")
        is_pre = state.is_pre if not spaces else spaces.startswith(("pre", "break"))
        is_pre = is_pre or node.tag in _PRE
        if not declared and is_pre == state.is_pre and node.tag not in _COLORED:
            return state
        return _State(state.seen.within(node, declared), is_pre)

    def _open(self, node: etree._Element, state: _State) -> str:
        """Begin what an element is; the name of what its end will end."""
        tag = node.tag
        if tag in _HEADINGS:
            return "heading" if self._builder.start_heading() else ""
        if tag == "sup":
            self._builder.raise_next()
        elif tag == "img" and state.seen.is_shown:
            self._builder.mark(node)
        elif tag == "table":
            self._plan(node)
        elif tag == "tr":
            self._builder.start_row(self._slots.pop(node, ()))
            self._rows.append(node)
            if node in self._layouts:
                self._builder.make_layout()
            return "row"
        elif tag in ("td", "th"):
            if self._rows and self._rows[-1].tag == "tr":
                self._builder.start_cell(node)
                self._rows.append(node)
                return "cell"
            self._builder.add_break(Break.SPACE)
        return ""

    def _leave(self, entry: _Entered) -> None:
        if entry.node.tag == "sup":
            self._builder.raise_next(False)
        if entry.closes == "heading":
            self._builder.end_heading()
        elif entry.closes:
            self._rows.pop()
            end = self._builder.end_row if entry.closes == "row" else self._builder.end_cell
            end()
        if entry.kind is not None and entry.kind != Break.FEED:
            self._builder.add_break(entry.kind)
        elif entry.node.tag in ("td", "th"):
            self._builder.add_break(Break.SPACE)
        self._say(entry.node.tail, entry.state)

    def _push_children(self, node: etree._Element, state: _State) -> None:
        spread = formula.parts(node) if node.tag.rpartition(":")[2] in formula.MATHML else None
        children = reversed(node) if spread is None else reversed(spread)
        self._stack.extend(c if isinstance(c, str) else (c, state) for c in children)

    def _say(self, text: str | None, state: _State) -> None:
        if not text or not state.seen.is_visible:
            return
        if state.is_pre:
            self._builder.write(text.replace("\r\n", "\n").replace("\r", "\n"))
        else:
            self._builder.write_inline(text)

    def _plan(self, table: etree._Element) -> None:
        """Find where merged cells reach, and whether the table is one."""
        rows: list[etree._Element] = []
        cells: list[list[Cell]] = []
        for part, is_head in _parts_of(table):
            lines = [row for row in part if row.tag == "tr"]
            for i, row in enumerate(lines):
                rows.append(row)
                cells.append(_cells(row, len(lines) - i, is_head))
        if table.get("role") in ("presentation", "none"):
            self._layouts.update(rows)
        if any(cell.across > 1 or cell.down > 1 for line in cells for cell in line):
            self._slots.update(zip(rows, arrange(cells), strict=True))


_COLORED = frozenset(("a", "font", "body", "table", "tr", "td", "th"))  # by attributes of old


def _parts_of(table: etree._Element) -> Iterator[tuple[list[etree._Element], bool]]:
    """A table's groups of rows, no cell of which reaches into the next; whether it is its head."""
    loose: list[etree._Element] = []
    for child in table:
        if child.tag in _TABLE_PARTS:
            yield loose, False
            loose = []
            yield list(child), child.tag == "thead"
        else:
            loose.append(child)
    yield loose, False


def _cells(row: etree._Element, rows_left: int, is_head: bool) -> list[Cell]:
    nodes = [child for child in row if child.tag in ("td", "th")]
    is_header = is_head or all(node.tag == "th" for node in nodes)
    cells = []
    for node in nodes:
        down = _span(node, "rowspan")
        down = rows_left if down == 0 else min(down, rows_left)
        cells.append(Cell(node, min(max(1, _span(node, "colspan")), _MAX_SPAN), down, is_header))
    return cells


def _span(node: etree._Element, name: str) -> int:
    value = (node.get(name) or "").strip()
    return int(value[:6]) if value[:6].isdecimal() and value.isascii() else 1


def _typed(node: etree._Element) -> str:
    return node.get("value", "") if node.get("type", "").lower() in _TYPED else ""


def _own_text(node: etree._Element) -> str:
    """The text before its first child; in ``<pre>``, a line's end right after the tag is none."""
    text = node.text or ""
    if node.tag in _PRE:
        return text[2:] if text[:2] == "\r\n" else text.removeprefix("\n")
    return formula.operator(text) if node.tag == "mo" else text
