"""Questions about lists: one entry's value among many alike, an entry by its value, what is not
there."""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass
from pathlib import Path

from ragvis.errors import UsageError
from scripts.pocket.rows import Row, Sheet, cited, upper
from scripts.pocket.texts import Writer

_LISTS = Path(__file__).parent / "lists.txt"
_FORMS = (  # how an entry is written, and what stands between two
    ("{k}: {v}", "; "),
    ("{k} {v}", ", "),
    ("- {k}: {v}", " "),
    ("{k} – {v}", ". "),
    ("| {k} | {v} |", " "),
    ("{k} ({v})", ", "),
    ("{k}\t{v}", " / "),
    ("{v} {k}", "; "),
    ("* {k}: {v}.", " "),
)
_ENTRIES = (3, 4, 5, 6, 8)
_TRIES = 40  # for so many entries and values that are apart


@dataclass(frozen=True)
class Kind:
    """A kind of list. ``asked`` for a value, ``sought`` for an entry, ``unsaid`` of any."""

    titles: tuple[str, ...]
    entry: str
    value: str
    asked: tuple[str, ...]
    sought: tuple[str, ...]
    answer: str
    unsaid: tuple[str, ...]


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """All of lists.txt.

    Raises:
        UsageError: a line that has too few parts or too many.
    """
    lines = _LISTS.read_text("utf-8").splitlines()
    return tuple(_kind(line) for line in lines if line.strip() and not line.startswith("#"))


def _kind(line: str) -> Kind:
    parts = [part.strip() for part in line.split("|")]
    if len(parts) != 7:
        raise UsageError(f"lists.txt: {line}", "It has seven parts.")
    titles, asked, sought, unsaid = (
        tuple(one.strip() for one in parts[n].split(";")) for n in (0, 3, 4, 6)
    )
    return Kind(titles, parts[1], parts[2], asked, sought, parts[5], unsaid)


class ListMaker:
    """Makes conversations about lists; the same chance makes the same ones."""

    def __init__(self, chance: random.Random, held_out: bool, writer: Writer) -> None:
        self._chance = chance
        self._writer = writer
        self._kinds = [k for n, k in enumerate(kinds()) if (n % 5 == 2) == held_out]

    def lists(self) -> list[Row]:
        """A list among other texts."""
        r = self._chance
        kind = r.choice(self._kinds)
        *entries, away = self._apart(kind.entry, r.choice(_ENTRIES) + 1)
        values = self._apart(kind.value, len(entries) + 1)
        said = dict(zip(entries, values, strict=False))  # the last value is of none
        texts = [self._written(kind, said)]
        texts += [
            self._writer.passage([self._writer.subject()]) for _ in range(r.choice((0, 1, 2)))
        ]
        order = r.sample(range(len(texts)), len(texts))
        sheet = Sheet(r, [], [texts[n] for n in order])
        place = order.index(0) + 1
        rows = [self._value(sheet, place, kind, k, said) for k in r.sample(list(said), 3)]
        rows.append(self._entry(sheet, place, kind, r.choice(list(said)), said))
        left_open = [r.choice(kind.asked).format(k=away)]
        left_open.append(r.choice(kind.unsaid).format(k=r.choice(entries)))
        left_open += [r.choice(kind.sought).format(v=values[-1])] if r.random() < 0.5 else []
        return rows + [sheet.row("unanswerable", asked) for asked in left_open]

    def _value(self, sheet: Sheet, n: int, kind: Kind, k: str, said: dict[str, str]) -> Row:
        r = self._chance
        whole = upper(kind.answer.format(k=k, v=said[k]))
        asked = r.choice(kind.asked).format(k=k)
        return sheet.row("list", asked, cited(r.choice((whole, upper(said[k]))), n), said[k])

    def _entry(self, sheet: Sheet, n: int, kind: Kind, k: str, said: dict[str, str]) -> Row:
        r = self._chance
        whole = upper(kind.answer.format(k=k, v=said[k]))
        asked = r.choice(kind.sought).format(v=said[k])
        return sheet.row("list", asked, cited(r.choice((whole, upper(k))), n), k)

    def _written(self, kind: Kind, said: dict[str, str]) -> str:
        r = self._chance
        form, between = r.choice(_FORMS)
        body = between.join(form.format(k=k, v=v) for k, v in said.items())
        head = r.choice(("{}: ", "{} ", "# {} ", "{}. ")).format(r.choice(kind.titles))
        return " ".join((head + body).split())

    def _apart(self, rule: str, many: int) -> list[str]:
        """So many of a rule, none of which is a part of another, or fewer."""
        found: list[str] = []
        for _ in range(_TRIES):
            one = self._writer.values.make(rule)
            if len(found) < many and not any(_within(one, other) for other in found):
                found.append(one)
        return found


def _within(one: str, other: str) -> bool:
    first, second = set(one.lower().split()), set(other.lower().split())
    return first <= second or second <= first
