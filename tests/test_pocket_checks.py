"""What the recipe makes of lists, and of answers that are not what the sources say."""

from __future__ import annotations

import random

import pytest
from test_pocket_data import THINGS

from ragvis.errors import UsageError
from scripts.pocket import checks, finish, instructions, lists, textual


def test_what_is_said_of_one_is_not_taken_for_another() -> None:
    maker = textual.TextMaker(random.Random(6), held_out=False)
    mixed = [
        (page, *one) for page in (maker._page() for _ in range(60)) for one in textual._mixed(page)
    ]
    assert len(mixed) > 100
    for page, one, fact, value in mixed:
        assert any(value in s.values.values() for _, s, _ in page.said())
        assert value != one.values.get(fact)


def test_an_answer_is_checked_against_what_is_said() -> None:
    """Yes where the sources answer so, no where that is the answer to something else."""
    maker, chance = textual.TextMaker(random.Random(8), held_out=False), random.Random(9)
    golds = []
    for _ in range(60):
        rows = [row for row in maker.text() if row["kind"] != "checked"]
        for row in checks.checks(rows, chance):
            golds.append(row["gold"])
            claim = row["conversations"][0]["value"].split("Question: Asked: ")[1]
            asked, _, answer = claim.partition(" Answered: ")
            own = next(
                r for r in rows if r["conversations"][0]["value"].endswith(f"Question: {asked}")
            )
            is_right = finish.is_right(answer.partition(" Is that what")[0], own["gold"])
            assert is_right == (row["gold"] == "yes")
            assert row["conversations"][1]["value"].lower() == f"{row['gold']}."
    assert golds.count("yes") == 60 and golds.count("no") > 40


def test_a_list_has_what_is_asked_for_and_not_what_is_left_open() -> None:
    maker = instructions.Maker(THINGS, 11)
    found = 0
    for row in (row for _ in range(80) for row in maker.page("lists")):
        said, _, asked = row["conversations"][0]["value"].partition("Question: ")
        if row["kind"] == "list":
            assert row["gold"] in said
        elif row["kind"] == "unanswerable":
            entries = [
                k for kind in lists.kinds() for form in kind.asked if (k := _of(form, asked))
            ]
            assert not any(f" {entry} " in said for entry in entries)
            found += bool(entries)
    assert found > 50


def _of(form: str, asked: str) -> str:
    """The entry that a form asks for in a question; "" if it is of another form."""
    before, _, after = form.partition("{k}")
    is_so = asked.startswith(before) and asked.endswith(after)
    return asked[len(before) : len(asked) - len(after)] if is_so else ""


def test_a_list_of_too_few_parts_is_told() -> None:
    with pytest.raises(UsageError, match=r"lists\.txt"):
        lists._kind("a | b")
