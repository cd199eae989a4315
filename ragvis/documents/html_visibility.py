"""Which text of a page is not seen: not displayed, of no size, off the screen, in its own colour.

Whatever cannot be told for sure is taken for visible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml import etree

from ragvis.documents.html_style import UNKNOWN, Declarations

_FAR = 999  # pixels off the screen
_NEAR_COLOR = 12  # of 255, in each channel
_ZERO = re.compile(r"[+-]?(?:0+\.?0*|\.0+)(?:%|[a-z]+)?")
_LENGTH = re.compile(r"(-?\d+(?:\.\d*)?)(px|pt|em|rem|vw|%)?")
_IN_PIXELS = {"em": 16.0, "rem": 16.0, "vw": 12.0, "%": 12.0, "pt": 1.33}
_NOTHING_LEFT = re.compile(
    r"rect\((?:0[a-z]*[\s,]*){4}\)|rect\((?:1px[\s,]*){4}\)|inset\((?:50|100)%.*\)"
)
_PAGE = ("html", "body")
_CLEAR = "transparent"
_FINDABLE = "until-found"  # hidden until somebody searches the page for it
_TINY = 1.4  # pixels
_NAMED = {"white": "#ffffff", "black": "#000000"}
_EFFECTS = ("transition", "animation", "transform")  # a page that fades its text in


@dataclass(frozen=True, slots=True)
class Seen:
    """How text is seen at one place of the tree; children inherit it."""

    is_shown: bool = True  # ``visibility``
    has_size: bool = True
    color: str | None = None  # None: not known, and taken for readable
    background: str | None = None

    @property
    def is_visible(self) -> bool:
        """Whether text can be read here."""
        if not (self.is_shown and self.has_size):
            return False
        return self.color != _CLEAR and not _are_equal(self.color, self.background)

    def within(self, node: etree._Element, declared: Declarations) -> Seen:
        """The same inside of an element. A page that is hidden as a whole waits for a script."""
        color = declared.get("color") or (node.get("color") if node.tag == "font" else None)
        background = _background(node, declared)
        is_page = node.tag in _PAGE
        size = None if is_page else _font_size(declared)
        visibility = "inherit" if is_page else declared.get("visibility", "inherit")
        has_color = color is not None or node.tag == "a"  # links have a colour of their own
        return Seen(
            self.is_shown if visibility == "inherit" else visibility not in ("hidden", "collapse"),
            self.has_size if size is None else _has_size(size, self.has_size),
            _text_color(color or "", declared) if has_color else self.color,
            self.background if background == "" else background,
        )


def is_left_out(node: etree._Element, declared: Declarations) -> bool:
    """Whether an element and all that is in it is not seen."""
    if node.tag in _PAGE:
        return False
    if node.get("aria-hidden") == "true" or node.get("hidden", _FINDABLE) != _FINDABLE:
        return True
    return bool(declared) and _is_away(declared) and not _speaks_for_a_formula(node)


def _is_away(declared: Declarations) -> bool:
    if declared.get("display") == "none":
        return True
    is_clipped = declared.get("overflow") == "hidden" and (
        _is_zero(declared, "height") or _is_zero(declared, "width")
    )
    if is_clipped or _is_zero(declared, "opacity"):
        return not any(name in declared for name in _EFFECTS)
    return _is_off_screen(declared)


def _is_off_screen(declared: Declarations) -> bool:
    if _pixels(declared.get("text-indent")) <= -_FAR:
        return True
    if declared.get("position") not in ("absolute", "fixed"):
        return False
    sides = (declared.get(side) for side in ("left", "right", "top", "bottom"))
    if any(_pixels(side) <= -_FAR for side in sides):
        return True
    return any(_NOTHING_LEFT.fullmatch(declared.get(clip, "")) for clip in ("clip", "clip-path"))


def _speaks_for_a_formula(node: etree._Element) -> bool:
    """A formula is drawn as glyphs or as a picture, and its MathML hidden beside it."""
    child = node[0] if len(node) else None
    return child is not None and isinstance(child.tag, str) and child.tag.endswith("math")


def _is_zero(declared: Declarations, name: str) -> bool:
    value = declared.get(name)
    return bool(value) and _ZERO.fullmatch(value or "") is not None


def _pixels(length: str | None) -> float:
    match = _LENGTH.fullmatch(length or "")
    return float(match[1]) * _IN_PIXELS.get(match[2], 1.0) if match else 0.0


def _font_size(declared: Declarations) -> str | None:
    if "font-size" in declared:
        return declared["font-size"]
    match = re.search(r"(?:^|\s)([\d.]+[a-z%]*)(?:/|\s)", declared.get("font", ""))
    return match[1] if match else None


def _has_size(size: str, has_parent: bool) -> bool:
    """A share of the size around it is nothing where that is nothing."""
    is_share = size.endswith(("%", "inherit")) or (size.endswith("em") and size[-3:] != "rem")
    if is_share and not has_parent:
        return False
    is_tiny = size.endswith(("px", "pt")) and 0 <= _pixels(size) <= _TINY
    return not (is_tiny or _ZERO.fullmatch(size))


def _background(node: etree._Element, declared: Declarations) -> str | None:
    """An element's own background: a colour, None if it is not known, or empty if it has none."""
    said = [declared.get(name, "") for name in ("background-color", "background")]
    value = (said[0] or said[1] or node.get("bgcolor") or "").lower()
    if UNKNOWN in said or "background-image" in declared or node.get("background"):
        return None
    if value and value not in ("none", "transparent", "inherit"):
        return _color(value)
    is_lifted = declared.get("position") in ("absolute", "fixed")  # over whatever is there
    return None if is_lifted else ""


def _text_color(value: str, declared: Declarations) -> str | None:
    """The colour of text; a clear one may show a background that is cut to its letters."""
    is_cut = "background-clip" in declared or "-webkit-background-clip" in declared
    return None if is_cut else _color(value)


def _color(value: str) -> str | None:
    """``#rrggbb``, or the name as it is; None for what is not a plain colour."""
    text = re.sub(r"\s+", "", value.lower())
    if text in ("", "inherit", "initial", "unset", "revert", "currentcolor"):
        return None
    text = _NAMED.get(text, text)
    if re.fullmatch(r"#[0-9a-f]{3}", text):
        return "#" + "".join(c * 2 for c in text[1:])
    if re.fullmatch(r"rgba\(.*,0*\.?0*%?\)|#[0-9a-f]{6}00", text):
        return _CLEAR
    channels = re.fullmatch(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})(?:,1(?:\.0*)?)?\)", text)
    if channels:
        return "#" + "".join(f"{min(int(c), 255):02x}" for c in channels.groups())
    return text if re.fullmatch(r"#[0-9a-f]{6}|[a-z]+", text) else None


def _are_equal(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one[0] != other[0]:
        return False
    if one[0] != "#":
        return one == other
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return all(abs(a - b) <= _NEAR_COLOR for a, b in pairs)
