"""One story of a Word document (its body, a header, a note) as text: what a reader of it sees.

python-docx leaves out content controls, tracked insertions, text boxes and nested tables, so the
XML itself is walked, with a stack of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from lxml import etree

from ragvis.documents import formula
from ragvis.documents.docx_fields import Fields, shown_by
from ragvis.documents.docx_styles import (
    PLAIN,
    Look,
    Styles,
    is_outlined,
    look_of,
    value_of,
)
from ragvis.documents.docx_tables import is_deleted, slots_of
from ragvis.documents.ooxml import NAMESPACES, Relation, qn
from ragvis.documents.symbol_fonts import in_unicode, text_in_unicode
from ragvis.documents.table import Slot
from ragvis.documents.text_builder import TextBuilder
from ragvis.documents.text_tokens import Break

_HEX = re.compile("[0-9A-Fa-f]{1,6}")
_MAX_UNREAD = 100  # parts that are named one by one
_SKIPPED = frozenset(
    qn(name)
    for name in (
        "w:del w:moveFrom w:rPr w:sdtPr w:sectPr w:tblPr w:trPr w:tcPr w:instrText w:delText "
        "w:delInstrText m:rPr m:ctrlPr"
    ).split()
)
_CHARACTERS = {
    qn("w:tab"): "\t",
    qn("w:ptab"): "\t",
    qn("w:noBreakHyphen"): "-",
}
_FEEDS = (qn("w:br"), qn("w:cr"))
_SEEN = tuple(
    qn(name)
    for name in (
        "w:t w:sym m:t a:t a:blip v:imagedata v:textpath c:chart cx:chart dgm:relIds"
    ).split()
)
_UNREAD = {
    **dict.fromkeys((qn("c:chart"), qn("cx:chart")), ("chart", "charts are not read")),
    qn("dgm:relIds"): ("diagram", "SmartArt is not read"),
    qn("o:OLEObject"): ("embedded object", "objects of other programs are not read"),
    qn("w:altChunk"): ("embedded document", "documents inside of documents are not read"),
}
_MATH = f"{{{NAMESPACES['m']}}}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture inside the package: its part, and what the document says of it."""

    part: str
    caption: str
    is_furniture: bool  # of a header or footer


@dataclass(slots=True)
class Findings:
    """What the stories of one document hold beside text."""

    pictures: list[Picture] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add_unread(self, kind: str, why: str) -> None:
        """Remember a part that is not read, under its kind and number."""
        self.counts[kind] = number = self.counts.get(kind, 0) + 1
        if len(self.unread) < _MAX_UNREAD:
            self.unread[f"{kind} {number}"] = why


@dataclass(frozen=True, slots=True)
class _State:
    """What an element's children inherit."""

    look: Look = PLAIN
    caption: str = ""


_Entry = tuple[etree._Element, _State] | Callable[[], None] | str


class StoryWriter:
    """Walks trees of one part; its text goes to ``builder``, its pictures are marked there."""

    def __init__(
        self,
        builder: TextBuilder,
        styles: Styles,
        relations: dict[str, Relation],
        findings: Findings,
        paper: str | None = None,
    ) -> None:
        """``paper`` is the colour that text stands on where nothing is said, if it is known."""
        self.builder = builder
        self.is_aside = False  # a note or a header, which has no sections of its own
        self.is_furniture = False
        self._styles = styles
        self._relations = relations
        self._findings = findings
        self._paper = paper
        self._stack: list[_Entry] = []
        self._fields = Fields()
        self._paragraph = PLAIN
        self._boxes: list[etree._Element] = []  # text boxes of the open paragraph
        self._slots: dict[etree._Element, list[Slot]] = {}  # of each row of a table with spans
        self._own: list[frozenset[etree._Element] | None] = []  # cells of each open row
        self._on_surface = 0  # tables and boxes that are open: what they stand on is not known

    def write(self, root: etree._Element) -> None:
        """Add the text of a tree."""
        self._fields = Fields.of(root)
        self._push(root, _State())
        while self._stack:
            entry = self._stack.pop()
            if isinstance(entry, str):
                self._say(entry)
            elif isinstance(entry, tuple):
                self._enter(*entry)
            else:
                entry()

    def _enter(self, node: etree._Element, state: _State) -> None:
        tag = node.tag
        if tag in _SKIPPED or not isinstance(tag, str):
            return
        handler = self._HANDLERS.get(tag)
        if handler is not None:
            handler(self, node, state)
        elif tag in self._LEAVES:
            self._LEAVES[tag](self, node)
        elif tag in _CHARACTERS:
            self._say(_CHARACTERS[tag])
        elif tag in _FEEDS:
            is_page = node.get(qn("w:type")) in ("page", "column")
            self.builder.add_break(Break.PARAGRAPH if is_page else Break.FEED)
        else:
            spread = formula.parts(node) if tag.startswith(_MATH) else None
            self._push(node if spread is None else spread, state)

    def _push(self, parts: Iterable[etree._Element | str], state: _State) -> None:
        entries = [part if isinstance(part, str) else (part, state) for part in parts]
        self._stack.extend(reversed(entries))

    def _say(self, text: str) -> None:
        if not self._fields.are_in_code:
            self.builder.write(text)

    # --- paragraphs and runs

    def _enter_paragraph(self, node: etree._Element, state: _State) -> None:
        properties = node.find(qn("w:pPr"))
        named = properties.find(qn("w:pStyle")) if properties is not None else None
        style = value_of(named) if named is not None else ""
        shade = look_of(properties)
        self._paragraph = shade.over(self._styles.paragraph(style))
        outlined = is_outlined(properties)
        is_heading = self._styles.is_heading(style) if outlined is None else outlined
        is_heading = is_heading and not self.is_aside and self.builder.start_heading()
        kind = self._ending(properties)
        self._stack.append(lambda: self._leave_paragraph(kind, is_heading))
        self._push((child for child in node if child is not properties), state)

    def _ending(self, properties: etree._Element | None) -> Break | None:
        """What follows a paragraph: nothing much where its mark is hidden or deleted, and nothing
        after a large first letter, which is a paragraph of its own."""
        frame = properties.find(qn("w:framePr")) if properties is not None else None
        if frame is not None and frame.get(qn("w:dropCap")) in ("drop", "margin"):
            return None
        mark = properties.find(qn("w:rPr")) if properties is not None else None
        is_hidden = self._paragraph.is_hidden
        if mark is not None:
            own = look_of(mark).is_hidden
            is_hidden = is_hidden if own is None else own
            joins = (mark.find(qn(f"w:{name}")) for name in ("del", "specVanish"))
            is_hidden = is_hidden or any(join is not None for join in joins)
        if is_hidden:
            return Break.SPACE
        is_item = properties is not None and properties.find(qn("w:numPr")) is not None
        return Break.ITEM if is_item and self._own else Break.PARAGRAPH

    def _leave_paragraph(self, kind: Break | None, is_heading: bool) -> None:
        if is_heading:
            self.builder.end_heading()
        if kind is not None:
            self.builder.add_break(kind)
        boxes, self._boxes = self._boxes, []
        for box in reversed(boxes):
            self._stack.append(self._leave_surface)
            self._push(box, _State())
            self._stack.append(self._enter_surface)

    def _enter_surface(self) -> None:
        self._on_surface += 1
        self.builder.add_break(Break.PARAGRAPH)

    def _leave_surface(self) -> None:
        self._on_surface -= 1
        self.builder.add_break(Break.PARAGRAPH)

    def _enter_comment(self, node: etree._Element, state: _State) -> None:
        author = node.get(qn("w:author"), "")
        self._say(f"Comment by {author}: " if author else "Comment: ")
        self._push(node, state)

    def _enter_run(self, node: etree._Element, state: _State) -> None:
        properties = node.find(qn("w:rPr"))
        named = properties.find(qn("w:rStyle")) if properties is not None else None
        character = value_of(named) if named is not None else ""
        look = self._styles.run(look_of(properties), character, self._paragraph)
        if look.is_visible(None if self._on_surface else self._paper):
            self._push(node, replace(state, look=look))
        else:
            self._push(node.iterchildren(qn("w:fldChar")), state)  # fields go on behind it

    def _enter_text(self, node: etree._Element, state: _State) -> None:
        text = " ".join((node.text or "").splitlines())
        if state.look.font:
            text = text_in_unicode(text, state.look.font)
        if state.look.is_raised:
            self.builder.raise_next()
        self._say(text.lstrip(" ") if self.builder.is_spaced else text)

    def _take_symbol(self, node: etree._Element) -> None:
        code = node.get(qn("w:char"), "")
        if _HEX.fullmatch(code):
            self._say(in_unicode(int(code, 16), node.get(qn("w:font"), "")))

    def _take_field(self, node: etree._Element) -> None:
        self._say(shown_by(node))
        self._fields.take(node)

    def _enter_ruby(self, node: etree._Element, state: _State) -> None:
        base, reading = node.find(qn("w:rubyBase")), node.find(qn("w:rt"))
        above = [" (", *reading, ")"] if reading is not None and len(reading) else []
        self._push([*(base if base is not None else ()), *above], state)

    def _enter_displayed_formula(self, node: etree._Element, state: _State) -> None:
        self.builder.add_break(Break.LINE)
        self._stack.append(lambda: self.builder.add_break(Break.LINE))
        self._push(node, state)

    # --- tables

    def _enter_table(self, node: etree._Element, state: _State) -> None:
        self._slots.update(slots_of(node))
        self._stack.append(self._leave_surface)
        self._push(node, state)
        self._enter_surface()

    def _enter_row(self, node: etree._Element, state: _State) -> None:
        slots = self._slots.pop(node, None)
        if is_deleted(node):
            return
        own = [slot.cell.key for slot in slots or () if slot.is_own and slot.cell is not None]
        self._own.append(None if slots is None else frozenset(own))
        self.builder.start_row(slots or ())
        self._stack.append(self._leave_row)
        self._push(node, state)

    def _leave_row(self) -> None:
        self._own.pop()
        self.builder.end_row()
        self.builder.add_break(Break.LINE)

    def _enter_cell(self, node: etree._Element, state: _State) -> None:
        if not self._own:
            self._push(node, state)
            return
        own = self._own[-1]
        if own is None or node in own:  # else it goes on with the cell above
            self.builder.start_cell(node)
            self._stack.append(self.builder.end_cell)
            self._push(node, state)

    # --- drawings

    def _enter_alternatives(self, node: etree._Element, state: _State) -> None:
        """The first variant that holds something; all of them show the same."""
        chosen = next((v for v in node if next(v.iter(*_SEEN), None) is not None), None)
        if chosen is not None:
            self._push(chosen, state)

    def _take_box(self, node: etree._Element) -> None:
        self._boxes.append(node)  # its paragraphs come after the one that it hangs on

    def _enter_drawing(self, node: etree._Element, state: _State) -> None:
        about = next(node.iter(qn("wp:docPr")), None)
        if about is None or about.get("hidden") not in ("1", "true"):
            self._push(node, replace(state, caption=_said_of(about)))

    def _enter_picture(self, node: etree._Element, state: _State) -> None:
        caption = _said_of(node.find(f"{qn('pic:nvPicPr')}/{qn('pic:cNvPr')}"))
        self._push(node, replace(state, caption=caption or state.caption))

    def _enter_shape(self, node: etree._Element, state: _State) -> None:
        self._push(node, replace(state, caption=node.get("alt") or state.caption))

    def _enter_image(self, node: etree._Element, state: _State) -> None:
        """A picture of either drawing language, inside the file or linked."""
        names = (qn("r:embed"), qn("r:id"), qn("o:relid"), qn("r:link"))
        found = (self._relations.get(node.get(name, "")) for name in names)
        relation = next(filter(None, found), None)
        if relation is None:
            return
        if relation.is_external:
            self._findings.add_unread("linked picture", "it is not inside the file")
            return
        caption = state.caption or node.get(qn("o:title")) or ""
        self.builder.mark(len(self._findings.pictures))
        self._findings.pictures.append(Picture(relation.target, caption, self.is_furniture))

    def _take_word_art(self, node: etree._Element) -> None:
        self._say(node.get("string", ""))

    def _take_unread(self, node: etree._Element) -> None:
        self._findings.add_unread(*_UNREAD[node.tag])

    _HANDLERS: ClassVar[dict[str, Callable[[StoryWriter, etree._Element, _State], None]]] = {
        qn("w:p"): _enter_paragraph,
        qn("w:comment"): _enter_comment,
        qn("w:r"): _enter_run,
        **dict.fromkeys((qn("w:t"), qn("m:t"), qn("a:t")), _enter_text),
        qn("w:ruby"): _enter_ruby,
        qn("m:oMathPara"): _enter_displayed_formula,
        qn("w:tbl"): _enter_table,
        qn("w:tr"): _enter_row,
        qn("w:tc"): _enter_cell,
        qn("mc:AlternateContent"): _enter_alternatives,
        qn("w:drawing"): _enter_drawing,
        qn("pic:pic"): _enter_picture,
        **dict.fromkeys((qn("v:shape"), qn("v:rect"), qn("v:image")), _enter_shape),
        **dict.fromkeys((qn("a:blip"), qn("v:imagedata"), qn("v:fill")), _enter_image),
    }
    _LEAVES: ClassVar[dict[str, Callable[[StoryWriter, etree._Element], None]]] = {
        qn("w:sym"): _take_symbol,
        qn("w:fldChar"): _take_field,
        qn("w:txbxContent"): _take_box,
        qn("v:textpath"): _take_word_art,
        **dict.fromkeys(_UNREAD, _take_unread),
    }


def _said_of(node: etree._Element | None) -> str:
    """A drawing's alternative text, or else its title."""
    return "" if node is None else str(node.get("descr") or node.get("title") or "")
