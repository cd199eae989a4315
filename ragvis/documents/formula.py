"""Formulas in one line, from MathML or from Word's own markup: ``(a+b)/2``, ``x^2``, ``√(y)``.

Parts of a fraction or an exponent that run together would be other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

from lxml import etree

_Parts = list[Any]  # text, and elements that are still to be read

# Word's elements whose children have a name each: what stands before which child. A child that
# is not named here says nothing of itself, such as the properties.
_NAMED = {
    "f": {"num": "", "den": "/"},
    "sSup": {"e": "", "sup": "^"},
    "sSub": {"e": "", "sub": "_"},
    "sSubSup": {"e": "", "sub": "_", "sup": "^"},
    "sPre": {"sub": "_", "sup": "^", "e": " "},
    "limLow": {"e": "", "lim": "_"},
    "limUpp": {"e": "", "lim": "^"},
    "func": {"fName": "", "e": " "},
}
# MathML's, whose children have their place.
_PLACED = {
    "mfrac": ("", "/"),
    "msup": ("", "^"),
    "msub": ("", "_"),
    "msubsup": ("", "_", "^"),
    "munder": ("", "_"),
    "munderover": ("", "_", "^"),
}
MATHML = frozenset(_PLACED) | {"msqrt", "mroot", "mtr", "mtable"}
_NARY = "∫"  # Word's, where it names no other
_UNSEEN = {0x2061: "", 0x2062: " ", 0x2063: " ", 0x2064: " "}  # function application, times, …
_LOOKED_AT = 32  # elements of a part, to see whether it is single


def local_name(node: etree._Element) -> str:
    """An element's name without its namespace or prefix; empty for a comment."""
    if not isinstance(node.tag, str):
        return ""
    return node.tag.rpartition("}")[2].rpartition(":")[2]


def parts(node: etree._Element) -> _Parts | None:
    """What a formula's element says: text and its children in reading order.

    None for an element that only holds others, or no formula at all.
    """
    name = local_name(node)
    pieces: list[tuple[str, etree._Element]] = []
    if name in _NAMED:
        before = _NAMED[name]
        pieces = [(before[n], child) for child in node if (n := local_name(child)) in before]
    elif name in _PLACED and len(node) == len(_PLACED[name]):
        pieces = list(zip(_PLACED[name], node, strict=True))
    if pieces:
        return [*_joined(pieces), " "] if _runs_on(node) else _joined(pieces)
    special = _SPECIAL.get(name)
    return special(node) if special else None


def operator(text: str) -> str:
    """An operator as it is seen: those that are not seen part what they stand between."""
    return text.translate(_UNSEEN)


def _runs_on(node: etree._Element) -> bool:
    """Whether a number or name follows at once, which would become part of the exponent."""
    after = node.getnext()
    near = islice(after.iter(), _LOOKED_AT) if after is not None else ()
    text = next((text for inner in near if (text := (inner.text or "").strip())), "")
    return text[:1].isalnum()


def _joined(pieces: list[tuple[str, etree._Element]]) -> _Parts:
    """Each with its sign before it, in brackets where it is more than a number or a name."""
    said: _Parts = []
    for sign, child in pieces:
        bare = sign == " " or _is_single(child)
        said += [sign, child] if bare else [sign + "(", child, ")"]
    return said


def _is_single(node: etree._Element) -> bool:
    """Whether a part of a formula is one symbol, number or name."""
    nodes = list(islice(node.iter(), _LOOKED_AT))
    texts = [text for inner in nodes if (text := (inner.text or "").strip())]
    is_small = len(nodes) < _LOOKED_AT and len(texts) < 2
    return is_small and all(text.replace(".", "").isalnum() for text in texts)


def _root(node: etree._Element) -> _Parts:
    """``msqrt`` holds its radicand; ``mroot`` and Word's ``rad`` have a degree too."""
    name = local_name(node)
    radicand, degree = list(node), []
    if name == "mroot" and len(node) == 2:
        radicand, degree = [node[0]], [node[1]]
    elif name == "rad":
        radicand, degree = _children(node, "e"), _children(node, "deg")
    return [*degree, "√(", *radicand, ")"]


def _nary(node: etree._Element) -> _Parts:
    limits = _limit(node, "sub", "_") + _limit(node, "sup", "^")
    return [_property(node, "chr", _NARY), *limits, " ", *_children(node, "e")]


def _delimited(node: etree._Element) -> _Parts:
    between = _property(node, "sepChr", "|")
    said: _Parts = [_property(node, "begChr", "(")]
    for i, child in enumerate(_children(node, "e")):
        said += [between, child] if i else [child]
    return [*said, _property(node, "endChr", ")")]


def _row(node: etree._Element) -> _Parts:
    """A matrix's row, or an array of equations: values apart from each other."""
    is_array = local_name(node) in ("eqArr", "m", "mtable")
    said: _Parts = []
    for i, child in enumerate(node):
        said += ["; " if is_array else " ", child] if i else [child]
    return said


def _children(node: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in node if local_name(child) == name]


def _limit(node: etree._Element, name: str, sign: str) -> _Parts:
    filled = [child for child in _children(node, name) if len(child)]
    return _joined([(sign, child) for child in filled])


def _property(node: etree._Element, name: str, default: str) -> str:
    """The character that an element's properties name; an empty one is none."""
    for properties in node[:1]:
        for child in _children(properties, name):
            return str(next(iter(child.attrib.values()), ""))
    return default


_SPECIAL: dict[str, Callable[[etree._Element], _Parts]] = {
    **dict.fromkeys(("msqrt", "mroot", "rad"), _root),
    **dict.fromkeys(("mtr", "mtable", "mr", "m", "eqArr"), _row),
    "nary": _nary,
    "d": _delimited,
}
