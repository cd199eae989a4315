"""Pictures that were asked for and found: what is a request for one, and how its answer begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO
from hypothesis import given
from hypothesis import strategies as st
from test_composer import FAMILIES, make_hit, make_spec

import ragvis
from ragvis.assistant.prepared import _begun
from ragvis.composer import Composed, compose, joined, opened
from ragvis.retriever import Manner
from ragvis.types import Hit


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a photo of scissors", True),
        ("Which image shows Machu Picchu?", True),
        ("Which of these pictures has a dog in it?", True),
        ("In which photo is the cat asleep?", True),
        ("Do you have a picture of a cow?", True),
        ("Is there a photo of the Taj Mahal?", True),
        ("Can you please show me the map of the site?", True),
        ("the receipt of Larch Garage", True),
        ("heron count", True),
        ("Show me how to change the filter", False),
        ("Show me Ping and tell me where he lives", False),
        ("How much did this picture cost?", False),
        ("What is the animal in the picture afraid of?", False),
        ("the gate code?", False),
        ("Tell me about the pump", False),
        ("I need the photo", False),
        ("Find out when the pump was bought", False),
        ("Which picture?", False),
        ("?", False),
        ("", False),
    ],
)
def test_a_thing_that_is_named_and_not_asked_about(text: str, names: bool) -> None:
    assert Manner.of(text).names == names


def a_prompt(*hits: Hit, template: str = "pocket", limit: int = 4000) -> Composed:
    sizes = {hit.id: (9, 9) for hit in hits if hit.modality == "image"}
    return compose("a photo of a cat", hits, [], sizes, make_spec(template, limit))


@pytest.mark.parametrize("template", FAMILIES)
def test_the_prompt_goes_on_into_the_answer(template: str) -> None:
    before = a_prompt(make_hit(1, "image"), template=template)
    spec = make_spec(template)
    after = opened(before, spec, "[1] shows")
    assert after.prompt.startswith(before.prompt)
    assert after.prompt[len(before.prompt) :].strip() == "[1] shows"
    own = spec.count(after.prompt) - spec.count(before.prompt)
    assert after.ledger.total == before.ledger.total + own
    parts = ("system", "images", "passages", "history", "question")
    assert sum(getattr(after.ledger, part) for part in parts) == after.ledger.total


def test_only_where_there_is_room_and_a_model_that_goes_on() -> None:
    before = a_prompt(make_hit(1, "image"))
    room = before.ledger.total + before.ledger.reserved_for_answer
    tight = replace(before, ledger=replace(before.ledger, context_limit=room + 3))
    assert opened(tight, make_spec(), "[1] shows") is tight
    assert opened(before, replace(make_spec(), goes_on=False), "[1] shows") is before


@given(st.lists(st.text("ab [1].", max_size=3)))
def test_the_opening_comes_once_and_nothing_is_lost(pieces: list[str]) -> None:
    said = "".join(pieces)
    got = "".join(joined("[1] shows", pieces))
    assert got == (f"[1] shows{' ' if said[0].isalnum() else ''}{said}" if said else "")
    assert "".join(joined("", pieces)) == said


@pytest.mark.parametrize(
    ("question", "text", "opening"),
    [
        ("a photo of a cat", 0.9, "[1] shows"),
        ("the cat", 0.5, "[1] shows"),
        ("the cat", 0.9, ""),  # a passage fits better
        ("Who photographed the cat?", 0.5, ""),
    ],
)
def test_a_picture_that_is_what_was_asked_for(question: str, text: float, opening: str) -> None:
    prompt = a_prompt(make_hit(1, "image", score=0.8), make_hit(2, score=text))
    assert _begun(prompt, Manner.of(question), make_spec()).opening == opening


def test_no_picture_no_opening() -> None:
    assert not _begun(a_prompt(make_hit(1)), Manner.of("a photo of a cat"), make_spec()).opening


@pytest.fixture(scope="module")
def assistant(demo_index: Path, pocket_generator: Any) -> ragvis.Assistant:
    return ragvis.Assistant(ragvis.Retriever(ragvis.Index.open(demo_index)), pocket_generator)


def test_pocket_says_which_picture_shows_it(assistant: ragvis.Assistant) -> None:
    answers = [assistant.ask(f"a photo of {x}") for x in ("scissors", "a koala", "the Colosseum")]
    for answer, shown in zip(answers, ("scissors", "koala", "colosseum"), strict=True):
        assert answer.text.startswith("[1] shows") and answer.prompt.endswith("[1] shows")
        assert shown in next(s for s in answer.sources if s.cited).hit.path
        assert answer.usage["prompt_tokens"] == answer.ledger.total
    many = [stream.answer.text for stream in assistant.ask_many(["a photo of scissors"])]
    assert many == [answers[0].text]


@pytest.mark.parametrize("thing", ["a submarine", "a violin", "the flag of Sweden", "a piano"])
def test_what_no_picture_shows_is_not_found(assistant: ragvis.Assistant, thing: str) -> None:
    assert assistant.ask(f"a photo of {thing}").abstained


def test_a_photo_of_ones_own_is_no_picture_that_was_found(assistant: ragvis.Assistant) -> None:
    stream = assistant.stream("the capital of this country", DEMO / "images" / "flag-japan.jpg")
    assert not stream.prepared.composed.opening
