"""What a page's own styles say of its elements: enough of CSS to tell text that nobody sees.

Rules whose selector is one tag, id or set of classes are taken at their word. Of any other rule
(``.open > p``, ``:checked``, one for wide screens) it is not known whether it holds: it may show
what a simple rule hides, and never hides anything, so that no text is lost by a guess.
Styles in files of their own are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

Declarations = Mapping[str, str]  # property -> value, in lower case

_RELEVANT = frozenset(
    "display visibility opacity font-size font position left right top bottom text-indent clip "
    "clip-path color background background-color background-image background-clip "
    "-webkit-background-clip height width overflow white-space transition animation "
    "transform".split()
)
UNKNOWN = "?"  # the value of a colour that a rule may or may not set
# What is more than that in a page is not looked at.
_CHECKS = 2_000_000  # comparisons of an element with a rule
_SELECTORS = 50_000
_LONGEST = 500  # characters of a selector or a value
_NOISE = re.compile(
    r"/\*.*?(?:\*/|\Z)|<!--|-->|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'", re.DOTALL
)
_COMPOUND = re.compile(r"([a-z][\w-]*|\*)?((?:[.#][\w-]+)*)", re.IGNORECASE)
_CONDITION = re.compile(r"\[[^\]]*\]|::?[\w-]+(?:\([^)]*\))?")
_GENERATED = re.compile(r"::|:(?:before|after|first-l)")  # boxes that are not the element's own
_ALWAYS = re.compile(r"(?:only\s+)?(?:all|screen)?")  # media that a page is read in

_IS, _MAY_BE, _IS_NOT = range(3)  # whether the rules of a block hold


@dataclass(frozen=True, slots=True)
class _Rule:
    tag: str
    ids: frozenset[str]
    classes: frozenset[str]
    order: int
    holds: int
    declared: dict[str, tuple[str, bool]]  # property -> value, whether it is important

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Of two rules for one element the higher one holds."""
        return len(self.ids), len(self.classes), bool(self.tag), self.order

    def fits(self, tag: str, own_id: str, classes: frozenset[str]) -> bool:
        return (
            self.tag in ("", tag)
            and (not self.ids or self.ids == {own_id})
            and self.classes <= classes
        )


class StyleSheet:
    """The rules of a page's ``<style>`` elements."""

    def __init__(self, root: etree._Element) -> None:
        self._rules: dict[str, list[_Rule]] = {}  # by an id, class or tag that the element has
        self._known: dict[tuple[str, str, str], dict[str, tuple[str, bool]]] = {}
        self._checks = _CHECKS
        order = 0
        for style in root.iter("style"):
            holds = _media((style.get("media") or "").lower())
            for selectors, block, inner in _blocks(style.text or "", holds):
                declared = _declared(block)
                for selector in selectors.split(",", _SELECTORS - order) if declared else ():
                    order += 1
                    self._add(selector.strip(), order, inner, declared)
                if order > _SELECTORS:
                    return

    def of(self, node: etree._Element) -> Declarations:
        """What is declared of an element, by rules and by its own ``style``."""
        inline = node.get("style")
        if not self._rules and not inline:
            return {}
        declared = self._by_rules(node) if self._rules else {}
        own = _declared(_NOISE.sub(" ", inline.lower())) if inline else {}
        if not own:
            return {name: value for name, (value, _) in declared.items()}
        merged = dict(declared)
        _merge(merged, own)
        return {name: value for name, (value, _) in merged.items()}

    def _add(
        self, selector: str, order: int, holds: int, declared: dict[str, tuple[str, bool]]
    ) -> None:
        if len(selector) > _LONGEST or _GENERATED.search(selector):
            return
        last = re.split(r"[\s>+~]+", selector.replace(":root", "html"))[-1]
        bare = _CONDITION.sub("", last)
        match = _COMPOUND.fullmatch(bare)
        if match is None:
            return
        holds = holds if bare == selector.replace(":root", "html") else _MAY_BE
        names = re.findall(r"[.#][\w-]+", match[2])
        ids = frozenset(name[1:] for name in names if name[0] == "#")
        classes = frozenset(name[1:] for name in names if name[0] == ".")
        tag = (match[1] or "").replace("*", "").lower()
        keys = [f"#{name}" for name in ids] + [f".{name}" for name in sorted(classes)] + [tag]
        rule = _Rule(tag, ids, classes, order, holds, declared)
        self._rules.setdefault(keys[0], []).append(rule)

    def _by_rules(self, node: etree._Element) -> dict[str, tuple[str, bool]]:
        key = (node.tag, node.get("id") or "", node.get("class") or "")
        if key not in self._known:
            self._known[key] = self._cascade(*key)
        return self._known[key]

    def _cascade(self, tag: str, own_id: str, class_: str) -> dict[str, tuple[str, bool]]:
        classes = frozenset(class_.split())
        keys = ["", tag, f"#{own_id}", *(f".{name}" for name in classes)]
        self._checks -= sum(len(self._rules.get(key, ())) for key in keys)
        if self._checks < 0:
            return {}
        near = [rule for key in keys for rule in self._rules.get(key, ())]
        fitting = sorted((r for r in near if r.fits(tag, own_id, classes)), key=lambda r: r.rank)
        merged: dict[str, tuple[str, bool]] = {}
        for rule in fitting:
            if rule.holds == _IS:
                _merge(merged, rule.declared)
        for rule in fitting:
            if rule.holds == _MAY_BE:
                _forget(merged, rule.declared)
        return merged


def _merge(merged: dict[str, tuple[str, bool]], later: dict[str, tuple[str, bool]]) -> None:
    for name, (value, is_important) in later.items():
        if is_important or not merged.get(name, ("", False))[1]:
            merged[name] = value, is_important


def _forget(merged: dict[str, tuple[str, bool]], other: dict[str, tuple[str, bool]]) -> None:
    """Drop what a rule that may hold says otherwise."""
    for name, (value, _) in other.items():
        if name == "color" or name.startswith("background"):
            merged[name] = UNKNOWN, False
        elif name in merged and merged[name][0] != value:
            del merged[name]


def _declared(block: str) -> dict[str, tuple[str, bool]]:
    found = {}
    for part in block.split(";"):
        name, _, value = part.partition(":")
        name = name.strip()
        if name in _RELEVANT:
            bare = value.partition("!")[0].strip()[:_LONGEST]
            found[name] = bare, "!important" in value.replace(" ", "")
    return found


def _blocks(css: str, holds: int) -> Iterator[tuple[str, str, int]]:
    """Each rule's selectors and declarations, and whether it holds; linear in the length."""
    text = _NOISE.sub(" ", css)
    opened: list[tuple[str, int]] = []
    last = 0
    for brace in re.finditer(r"[{}]", text):
        chunk = text[last : brace.start()]
        last = brace.end()
        if brace[0] == "{":
            prelude = chunk.rpartition(";")[2].strip()
            around = opened[-1][1] if opened else holds
            opened.append((prelude, max(around, _holds_within(prelude))))
        elif opened:
            prelude, _ = opened.pop()
            around = opened[-1][1] if opened else holds
            if prelude and prelude[0] != "@" and around != _IS_NOT:
                yield prelude, chunk.lower(), around


def _holds_within(prelude: str) -> int:
    """Whether the rules inside of a block hold."""
    match = re.match(r"@([\w-]+)\s*(.*)", prelude.lower(), re.DOTALL)
    if match is None:
        return _MAY_BE  # nested within another rule
    if match[1] == "media":
        return _media(match[2])
    return _MAY_BE if match[1] in ("supports", "layer", "container", "scope") else _IS_NOT


def _media(query: str) -> int:
    kinds = [kind.strip() for kind in query.split(",")]
    if any(_ALWAYS.fullmatch(kind) for kind in kinds):
        return _IS
    return (
        _IS_NOT
        if all(re.match(r"(?:only\s+)?(?:print|speech|aural)", k) for k in kinds)
        else _MAY_BE
    )
