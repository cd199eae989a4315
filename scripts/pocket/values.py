"""Names and values, made by the rules of values.txt."""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

from ragvis.errors import UsageError

_RULES = Path(__file__).parent / "values.txt"
_PLACE = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)-(\d+)")


@functools.cache
def rules() -> dict[str, tuple[str, ...]]:
    """The alternatives of every name."""
    lines = [line for line in _RULES.read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    parted = (line.partition(" = ") for line in lines)
    return {name: tuple(one.strip() for one in ways.split(";")) for name, _, ways in parted}


class Values:
    """Makes names and values; the same chance makes the same ones."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def make(self, rule: str) -> str:
        """A value of a rule, or one of ``=a/b/c``.

        Raises:
            UsageError: there is no such rule.
        """
        if rule == "word":
            return self.make("lower").capitalize()
        ways = rule[1:].split("/") if rule.startswith("=") else rules().get(rule)
        if ways is None:
            raise UsageError(f"values.txt has no {rule!r}")
        return _PLACE.sub(self._filled, self._chance.choice(ways))

    def _filled(self, place: re.Match[str]) -> str:
        numbers = _RANGE.fullmatch(place[1])
        if numbers is None:
            return self.make(place[1])
        return str(self._chance.randint(int(numbers[1]), int(numbers[2])))

    def thing(self, kind: str) -> str:
        """What a thing of that kind may be called, without its article."""
        return f"{self.make('thing')} {kind}"

    def named(self, kind: str) -> str:
        """What has a name of its own, as in a sentence."""
        word = self.make("word")
        return self._chance.choice((word, f"the {word} {kind}", f"{word} {kind.title()}"))
