"""Texts in the forms that documents have, what is true by them, and what they leave open."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragvis.errors import UsageError
from scripts.pocket.rows import upper
from scripts.pocket.values import Values

_FACTS = Path(__file__).parent / "facts.txt"
_HELD_OUT = "held out"
_SHE_OR_HE = ("She", "He")
_HEADINGS = ("{t}:", "{t}, {date}:", "{t} of {named}:", "{town}, {t}:", "# {t}")
_FILLERS = (
    "Please read this first.",
    "More about it can be found on the next page.",
    "This page was checked last month.",
    "Nothing else has changed.",
    "The rest of the text is the same as last year.",
    "See the figure below.",
    "We thank everybody who helped.",
    "If something is unclear, ask at the front desk.",
    "The photo shows the view from the street.",
    "Keep this sheet in a safe place.",
    "A longer version is in the folder on the second shelf.",
    "There were no further questions.",
    "Some of what follows may be out of date.",
    "As always, errors are ours.",
    "The weather was fine.",
    "Further copies can be had on request.",
    "It has been this way for as long as anyone remembers.",
    "What is not listed here is not included.",
    "Details may differ from one model to the next.",
    "That was not what we had expected.",
    "The table was made by hand.",
    "Do not throw this away with household waste.",
    "This text was translated; the original is binding.",
    "Opinions on this differ.",
)


@dataclass(frozen=True)
class Fact:
    """What can be said of everything in a domain.

    Attributes:
        labels: what it is called in lists and tables.
        value: the maker of its values.
        said: sentences, with ``{e}`` and ``{v}``.
        asked: questions, with ``{e}``.
        answer: a sentence without its full stop.
    """

    labels: tuple[str, ...]
    value: str
    said: tuple[str, ...]
    asked: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Domain:
    """Things of one sort, and the documents about them."""

    kind: str  # thing, person, named or country
    words: tuple[str, ...]
    titles: tuple[str, ...]
    facts: tuple[Fact, ...]
    held_out: bool


@dataclass(frozen=True)
class Subject:
    """One of them, and what is true of it by its text."""

    domain: Domain
    name: str
    values: dict[Fact, str]
    pronoun: str

    @property
    def missing(self) -> list[Fact]:
        """What could be said of it, and is not."""
        return [fact for fact in self.domain.facts if fact not in self.values]

    def ask(self, form: str) -> str:
        """A question about it, of one of a fact's forms."""
        return upper(form.format(e=self.name))

    def answer(self, fact: Fact) -> str:
        """A whole sentence, but for the full stop."""
        return upper(fact.answer.format(e=self.name, v=self.values[fact]))


@functools.cache
def domains() -> tuple[Domain, ...]:
    """All of facts.txt.

    Raises:
        UsageError: a line that is none of its two kinds.
    """
    blocks = "\n".join(
        line for line in _FACTS.read_text("utf-8").splitlines() if not line.startswith("#")
    ).split("\n@ ")
    return tuple(_domain(block.strip().splitlines()) for block in blocks if block.strip())


def _domain(lines: list[str]) -> Domain:
    head = [part.strip() for part in lines[0].removeprefix("@ ").split("|")]
    if len(head) < 3:
        raise UsageError(f"facts.txt: {lines[0]}", "kind | words | titles")
    facts = tuple(_fact(line) for line in lines[1:] if line.strip())
    words, titles = (tuple(part.split(",")) for part in head[1:3])
    return Domain(head[0], words, titles, facts, head[-1] == _HELD_OUT)


def _fact(line: str) -> Fact:
    parts = line.split("|")
    if len(parts) != 5:
        raise UsageError(f"facts.txt: {line}", "labels | value | statements | questions | answer")
    labels, said, asked = (tuple(one.strip() for one in parts[n].split(";")) for n in (0, 2, 3))
    return Fact(labels, parts[1].strip(), said, asked, parts[4].strip())


class Writer:
    """Makes subjects and writes about them; the same chance makes the same texts."""

    def __init__(self, chance: random.Random, held_out: bool) -> None:
        self.values = Values(chance)
        self._chance = chance
        self.domains = [d for d in domains() if d.held_out == held_out]

    def of_kind(self, kind: str) -> Domain:
        """A domain of a kind; one that is trained on where no other is held out."""
        return self._chance.choice(
            [d for d in self.domains if d.kind == kind] or [d for d in domains() if d.kind == kind]
        )

    def subject(
        self, domain: Domain | None = None, name: str = "", must: Sequence[Fact] = ()
    ) -> Subject:
        """Something with two to six facts, those that it must have among them."""
        r = self._chance
        domain = domain or r.choice(self.domains)
        many = min(r.choice((2, 3, 3, 4, 5, 6)), len(domain.facts))
        chosen = list(dict.fromkeys([*must, *r.sample(domain.facts, many)]))[: max(many, len(must))]
        r.shuffle(chosen)
        values = {fact: self.values.make(fact.value) for fact in chosen}
        pronoun = r.choice(_SHE_OR_HE) if domain.kind == "person" else "It"
        return Subject(domain, name or self.name(domain), values, pronoun)

    def name(self, domain: Domain) -> str:
        """What one of a domain may be called."""
        if domain.kind == "person":
            return self.values.make("person")
        if domain.kind == "country":
            return self.values.make("word")
        word = self._chance.choice(domain.words)
        return self.values.thing(word) if domain.kind == "thing" else self.values.named(word)

    def passage(self, subjects: Sequence[Subject]) -> str:
        """A text about all of them, on one line as ragvis places it."""
        r = self._chance
        together = len(subjects) > 1 and len({s.domain for s in subjects}) == 1
        if together and r.random() < 0.5:
            text = self._table(subjects)
        else:
            text = " ".join(self._about(one) for one in subjects)
        if r.random() < 0.3:
            filler = r.choice(_FILLERS)
            text = r.choice((f"{filler} {text}", f"{text} {filler}"))
        if r.random() < 0.4:
            text = f"{self._heading(subjects[0].domain)} {text}"
        return " ".join(text.split())

    def _heading(self, domain: Domain) -> str:
        """What ragvis puts before a part of a longer document: its title or its section's."""
        title = upper(self._chance.choice(domain.titles))
        form = self._chance.choice(_HEADINGS)
        made = {name: self.values.make(name) for name in ("date", "named", "town")}
        return form.format(t=title, **made)

    def _about(self, one: Subject) -> str:
        form = self._chance.choices(
            (self._prose, self._joined, self._prose_with_more, self._fields, self._titled),
            (5, 5, 3, 3, 3),
        )[0]
        return form(one)

    def _prose(self, one: Subject) -> str:
        """Sentences; the first names it."""
        return " ".join(upper(s) for s in self._sentences(one, named=False))

    def _joined(self, one: Subject) -> str:
        """Several facts a sentence: "The pump weighs 3 kg, which …, and costs …"."""
        r = self._chance
        sentences = [upper(s) for s in self._sentences(one, named=False)]
        subject = upper(f"{'the ' if one.domain.kind == 'thing' else ''}{one.name} ")
        ends = [s[len(subject) :].rstrip(".") for s in sentences if s.startswith(subject)]
        others = [s for s in sentences if not s.startswith(subject)]
        if len(ends) < 2:
            return " ".join(f"{n}. {s}" for n, s in enumerate(sentences, 1))
        cut = r.randint(2, min(4, len(ends)))
        first, rest = ends[:cut], ends[cut:]
        whole = f"{subject}{', '.join(first[:-1])} and {first[-1]}."
        if r.random() < 0.3 and one.domain.kind != "country":
            who = "who" if one.domain.kind == "person" else "which"
            whole = f"{subject.rstrip()}, {who} {first[0]}, {' and '.join(first[1:])}."
        return " ".join([whole, *(f"{one.pronoun} {end}." for end in rest), *others])

    def _prose_with_more(self, one: Subject) -> str:
        """The same, with sentences that say nothing, and values that were true once."""
        r = self._chance
        parts = []
        for fact, said in zip(one.values, self._sentences(one, named=False), strict=True):
            parts.append(upper(said))
            if r.random() < 0.3:
                parts.append(r.choice(_FILLERS))
            elif r.random() < 0.2 and (old := self.values.make(fact.value)) != one.values[fact]:
                before = ("It used to be {}.", "Before, it was {}.", "(Last year: {}.)")
                parts.append(r.choice(before).format(old))
        return " ".join(parts)

    def _titled(self, one: Subject) -> str:
        """What it is about stands in the title alone, as in a part of a longer document."""
        title = f"{upper(one.name)}, {self._chance.choice(one.domain.titles)}"
        said = [upper(s) for s in self._sentences(one, named=True)]
        if len(said) == 1:
            title += f": {self._chance.choice(next(iter(one.values)).labels)}"
        return f"{title}: {' '.join(said)}"

    def _sentences(self, one: Subject, named: bool) -> list[str]:
        """A sentence a fact; ``named``: it was named before them."""
        found = []
        for fact, value in one.values.items():
            said = self._chance.choice(fact.said)
            if named and self._chance.random() < 0.7:
                said = _leaning(said, one)
            found.append(said.format(e=one.name, v=value))
            named = True
        return found

    def _fields(self, one: Subject) -> str:
        r = self._chance
        lines = [(r.choice(fact.labels), value) for fact, value in one.values.items()]
        head = upper(one.name)
        if r.random() < 0.3:
            head += f", {r.choice(one.domain.titles)}"
        form, between = r.choice(
            (
                ("{}: {}", "; "),
                ("- {}: {}", " "),
                ("{}: {}.", " "),
                ("**{}** {}", " "),
                ("{} = {}", ", "),
            )
        )
        opened = r.choice(("{}: ", "{} - ", "# {} ", "{}. ", "Name: {}; "))
        return opened.format(head) + between.join(form.format(*line) for line in lines)

    def _table(self, subjects: Sequence[Subject]) -> str:
        """Rows of what they have in common; what is not in common follows in sentences."""
        r = self._chance
        first, *others = subjects
        shared = [f for f in first.values if all(f in o.values for o in others)]
        if not shared:
            return " ".join(self._about(one) for one in subjects)
        rows = [["Name", *(r.choice(f.labels) for f in shared)]]
        rows += [[upper(s.name), *(s.values[f] for f in shared)] for s in subjects]
        if r.random() < 0.6:
            rows.insert(1, ["---"] * len(rows[0]))
            text = " ".join(f"| {' | '.join(row)} |" for row in rows)
        else:
            text = "; ".join(", ".join(row) for row in rows) + "."
        rest = [
            upper(r.choice(f.said).format(e=s.name, v=v))
            for s in subjects
            for f, v in s.values.items()
            if f not in shared
        ]
        return " ".join([text, *rest])


def _leaning(said: str, one: Subject) -> str:
    """A later sentence about what was named before: "It costs …"."""
    for opening in ("The {e} ", "{e} "):
        if said.startswith(opening):
            return f"{one.pronoun} {said.removeprefix(opening)}"
    return said.replace("the {e}", "it")
