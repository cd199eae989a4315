"""Styles of a Word document: which paragraphs are headings, and which text nobody sees.

``w:vanish`` is a toggle: it hides once if either the paragraph's or the character's style has it,
and not at all if both have it (ECMA-376, 17.7.3). What a run says of itself holds before both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from lxml import etree

from ragvis.documents.ooxml import qn

_TINY = ("1", "2")  # half points; nobody reads that
_DEEPEST = 32  # styles that are based on each other
_VAL, _FILL, _ASCII, _ANSI = (qn(f"w:{n}") for n in ("val", "fill", "ascii", "hAnsi"))
_TOLD = _VANISH, _SIZE, _RAISED, _COLOR, _HIGHLIGHT, _SHADING, _FONT = tuple(
    qn(f"w:{n}") for n in ("vanish", "sz", "vertAlign", "color", "highlight", "shd", "rFonts")
)
_LEVELS = tuple("012345678")  # of headings in the outline; 9 is body text
_PAPER = "FFFFFF"
UNKNOWN = "unknown"  # a background of another colour, or of one that is not known

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """How text looks, as far as it matters; None where nothing is said."""

    is_hidden: bool | None = None
    is_tiny: bool | None = None
    is_raised: bool | None = None
    color: str | None = None
    background: str | None = None
    font: str | None = None

    def over(self, base: Look) -> Look:
        """This look, completed by another one."""
        if self is PLAIN or base is PLAIN:
            return base if self is PLAIN else self
        return Look(
            base.is_hidden if self.is_hidden is None else self.is_hidden,
            base.is_tiny if self.is_tiny is None else self.is_tiny,
            base.is_raised if self.is_raised is None else self.is_raised,
            self.color or base.color,
            self.background or base.background,
            self.font or base.font,
        )

    def is_visible(self, paper: str | None) -> bool:
        """Whether text can be read on paper of a colour, or of one that is not known (None)."""
        background = self.background or paper
        return not (self.is_hidden or self.is_tiny or (self.color and self.color == background))


PLAIN = Look()


def look_of(properties: etree._Element | None) -> Look:
    """What ``w:rPr`` says, or ``w:pPr`` of a paragraph's shading."""
    if properties is None or not len(properties):
        return PLAIN
    found = {child.tag: child for child in properties if child.tag in _TOLD}
    if not found:
        return PLAIN
    return Look(
        is_hidden=_read(found.get(_VANISH), is_on),
        is_tiny=_read(found.get(_SIZE), lambda node: value_of(node) in _TINY),
        is_raised=_read(found.get(_RAISED), lambda node: value_of(node) == "superscript"),
        color=_read(found.get(_COLOR), lambda node: value_of(node).upper()),
        background=_background(found.get(_HIGHLIGHT), found.get(_SHADING)),
        font=_read(found.get(_FONT), lambda node: node.get(_ASCII) or node.get(_ANSI)),
    )


def is_on(node: etree._Element) -> bool:
    """The value of a property that is on or off; on where none is given."""
    return value_of(node) not in ("0", "false", "off")


def value_of(node: etree._Element) -> str:
    """A property's value, empty where none is given."""
    return str(node.get(_VAL, ""))


def _read(node: etree._Element | None, read: Callable[[etree._Element], T]) -> T | None:
    return None if node is None else read(node)


def _background(highlight: etree._Element | None, shading: etree._Element | None) -> str | None:
    if highlight is not None and value_of(highlight) != "none":
        return UNKNOWN
    if shading is None:
        return None
    if value_of(shading) not in ("clear", "nil", ""):
        return UNKNOWN
    fill = str(shading.get(_FILL, "auto")).upper()
    return None if fill == "AUTO" else fill


class Styles:
    """The styles part of a document; an empty one where the file has none."""

    def __init__(self, root: etree._Element | None) -> None:
        nodes = list(root.iter(qn("w:style"))) if root is not None else []
        self._nodes = {node.get(qn("w:styleId"), ""): node for node in nodes}
        self._looks: dict[str, Look] = {}
        self._headings: dict[str, bool] = {}
        self._default = next((i for i, node in self._nodes.items() if _is_default(node)), "")
        defaults = root.find(f"{qn('w:docDefaults')}/*/{qn('w:rPr')}") if root is not None else None
        self._base = look_of(defaults)

    def paragraph(self, style: str) -> Look:
        """The look of text in a paragraph of a style; an empty name is the default."""
        return self._look(style or self._default).over(self._base)

    def run(self, direct: Look, character: str, paragraph: Look) -> Look:
        """The look of a run: its own, then its style's, then its paragraph's."""
        style = self._look(character) if character else PLAIN
        look = direct.over(style).over(paragraph)
        if direct.is_hidden is not None or not (style.is_hidden and paragraph.is_hidden):
            return look
        return replace(look, is_hidden=False)

    def is_heading(self, style: str) -> bool:
        """Whether a style is a heading's, by its name or outline level or those of its base."""
        if style not in self._headings:
            told = (_is_heading(node) for node in self._chain(style))
            self._headings[style] = next((is_one for is_one in told if is_one is not None), False)
        return self._headings[style]

    def _look(self, style: str) -> Look:
        if style not in self._looks:
            look = PLAIN
            for node in self._chain(style):
                look = look.over(look_of(node.find(qn("w:rPr"))))
                shading = look_of(node.find(qn("w:pPr"))).background
                look = look.over(Look(background=shading))
            # A style's size may be one that Word mends; a run's own is meant.
            self._looks[style] = replace(look, is_tiny=None)
        return self._looks[style]

    def _chain(self, style: str) -> list[etree._Element]:
        """A style and those that it is based on."""
        chain: list[etree._Element] = []
        seen: set[str] = set()
        while style in self._nodes and style not in seen and len(chain) < _DEEPEST:
            seen.add(style)
            chain.append(self._nodes[style])
            base = chain[-1].find(qn("w:basedOn"))
            style = value_of(base) if base is not None else ""
        return chain


def is_outlined(properties: etree._Element | None) -> bool | None:
    """Whether ``w:pPr`` gives a paragraph a level among the headings; None if it says nothing."""
    level = properties.find(qn("w:outlineLvl")) if properties is not None else None
    return None if level is None else value_of(level) in _LEVELS


def _is_default(node: etree._Element) -> bool:
    return node.get(qn("w:type")) == "paragraph" and node.get(qn("w:default")) in (
        "1",
        "true",
        "on",
    )


def _is_heading(node: etree._Element) -> bool | None:
    name = node.find(qn("w:name"))
    if name is not None and value_of(name).lower().startswith(("heading", "title")):
        return True
    return is_outlined(node.find(qn("w:pPr")))
