"""Whether an answer is what the sources say, yes or no: what a second look at an answer asks."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ragvis.composer import without_citations
from ragvis.prompts import IS_IT_SAID, NOT_FOUND
from scripts.pocket.rows import Row

_QUESTION = "\n\nQuestion: "
# Of these an answer without its citation says nothing, or another one may be right as well
_UNFIT = ("which", "absent", "is there", "name", "caption", "checked")


def answered(asked: str, answer: str) -> str:
    """The question whether that is the answer to that."""
    return IS_IT_SAID.format(asked, without_citations(answer))


def checked(row: Row, claim: str, is_said: bool) -> Row:
    """The same sources, and a question whether they say something."""
    head = row["conversations"][0]["value"].split(_QUESTION)[0]
    gold = "Yes" if is_said else "No"
    turns = (f"{head}{_QUESTION}{claim}", f"{gold}.")
    told = [{"from": who, "value": said} for who, said in zip(("human", "gpt"), turns, strict=True)]
    return {**row, "kind": "checked", "gold": gold.lower(), "conversations": told}


def checks(rows: Sequence[Row], chance: random.Random) -> list[Row]:
    """Of a page's questions, one with its answer, and one with the answer to another."""
    fit = [row for row in rows if row["kind"] not in _UNFIT]
    said = [row for row in fit if row["gold"] != NOT_FOUND]
    if not said:
        return []
    row = chance.choice(said)
    found = [checked(row, answered(_asked(row), _answer(row)), is_said=True)]
    wrong = [(a, b) for a in fit for b in said if _is_another(a, b)]
    if wrong:
        one, other = chance.choice(wrong)
        found.append(checked(one, answered(_asked(one), _answer(other)), is_said=False))
    return found


def _is_another(row: Row, other: Row) -> bool:
    if row is other or row["gold"].lower() in _answer(other).lower():
        return False
    return str(other["gold"]).lower() not in _answer(row).lower()


def _asked(row: Row) -> str:
    return str(row["conversations"][0]["value"].split(_QUESTION)[1])


def _answer(row: Row) -> str:
    return str(row["conversations"][1]["value"])
