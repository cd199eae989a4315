"""Pictures that were asked for and found: what is a request for one, and how its answer begins."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import DEMO
from hypothesis import given
from hypothesis import strategies as st
from test_composer import FAMILIES, make_hit, make_spec

import ragvis
from ragvis.assistant.placing import begun
from ragvis.composer import Composed, compose, joined, opened
from ragvis.prompts import NOT_FOUND, is_refusal
from ragvis.retriever import Request
from ragvis.types import Hit

REQUESTS = """
a photo of scissors | Which image shows Machu Picchu? | Which of these pictures has a dog in it?
In which photo is the cat asleep? | Do you have a picture of a cow? | photo of a cow?
photos from May | Is there a photo of the Taj Mahal? | Can you please show me the map of the site?
Any photos of a cow? | Which picture is the receipt of Hotel Vantage?
Can I see a photo of scissors? | a photo of a tin can | Show me the koala photo
a bar chart of visitors by weekday | the figure with the heron counts
"""
OTHERS = """
Show me how to change the filter | Show me Ping and tell me where he lives | Which picture?
How much did this picture cost? | What is the animal in the picture afraid of? | I need the photo
Please describe the picture of the koala | Read the text in the screenshot | Caption this image
Transcribe the scan of the letter | Find the differences between the two diagrams
Thanks, that helps | Give me a summary of the chart | Show me the koala photo and describe it
sales figures for March | a photo of scissors. Explain their use.
Is there a dog in the photo of the beach? | Which picture is the oldest?
Which image has the highest resolution? | I am here | Nuka is ill
Qui a pris cette photo | 谁拍了这张照片？ | the trip to Petra, with pictures | Eiffel Tower height
"""


def each(texts: str) -> list[str]:
    return [text.strip() for line in texts.strip().splitlines() for text in line.split(" | ")]


@pytest.mark.parametrize("text", each(REQUESTS))
def test_a_request_for_a_picture(text: str) -> None:
    assert Request.of(text).shows


@pytest.mark.parametrize("text", [*each(OTHERS), "", "?", "please " + " " * 10_000 + "a photo"])
def test_what_is_no_request_for_a_picture(text: str) -> None:
    assert not Request.of(text).shows


@pytest.mark.parametrize(
    ("text", "only", "names"),
    [
        ("a photo of a cat", True, True),
        ("a chart of the costs", False, True),
        ("the receipt of Larch Garage", False, True),
        ("Who is Nuka", False, False),
        ("Nuka is ill", False, False),
        ("Nuka?", False, False),
    ],
)
def test_what_else_is_seen_in_a_query(text: str, only: bool, names: bool) -> None:
    request = Request.of(text)
    assert (request.only, request.names) == (only, names)


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


@given(st.lists(st.text("abN [1].", max_size=3)))
def test_the_opening_comes_once_and_nothing_is_lost(pieces: list[str]) -> None:
    said = "".join(pieces)
    got = "".join(joined("[1] shows", pieces))
    if not said.strip() or NOT_FOUND.startswith(said.strip()):
        assert got == said
    else:
        assert got in (f"[1] shows{said}", f"[1] shows {said}")
        assert got[9] in " .]"
    assert "".join(joined("", pieces)) == said


@pytest.mark.parametrize(
    "pieces", [[" Not", " found in the sources."], [" Not found in the sources."]]
)
def test_a_refusal_has_no_opening(pieces: list[str]) -> None:
    assert is_refusal("".join(joined("[1] shows", pieces)))


@pytest.mark.parametrize(
    ("question", "words", "passage", "opening"),
    [
        ("a photo of a cat", 0.3, 0.9, "[1] shows"),
        ("a chart of the cats", 0.3, 0.9, ""),  # a passage fits better
        ("a chart of the cats", 0.3, 0.5, "[1] shows"),
        ("the cat Tom", 1.0, 0.5, "[1] shows"),
        ("the cat Tom", 1.0, 0.9, ""),
        ("weight of the cat Tom", 0.7, 0.5, ""),  # it may be something about him
        ("weight of the cat Tom", 0.7, 0.1, ""),
        ("the weight of the cat", 0.7, 0.1, ""),
        ("a sleeping cat", 0.5, 0.1, "[1] shows"),
        ("a sleeping cat", 0.5, 0.5, ""),
        ("a cat is asleep", 0.5, 0.1, ""),
        ("a cat's weight", 0.5, 0.1, "[1] shows"),  # what it takes for a description, too
        ("Who photographed the cat?", 1.0, 0.5, ""),
    ],
)
def test_a_picture_that_is_what_was_asked_for(
    question: str, words: float, passage: float, opening: str
) -> None:
    picture = replace(make_hit(1, "image", score=0.8), scores={"words": words})
    hits = [picture, make_hit(2, score=passage)]
    asked = Request.of(question)
    assert begun(a_prompt(*hits), hits, asked, make_spec()).opening == opening


def test_the_best_picture_opens_the_answer_or_none() -> None:
    best, other = make_hit(1, "image", score=0.9), make_hit(2, "image", score=0.6)
    asked = Request.of("a photo of a cat")
    without = a_prompt(other)  # the best one could not be opened
    assert not begun(without, [best, other], asked, make_spec()).opening
    assert not begun(a_prompt(make_hit(3)), [make_hit(3)], asked, make_spec()).opening


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


def test_a_follow_up_is_answered_as_such(assistant: ragvis.Assistant) -> None:
    chat = assistant.chat(sampling=ragvis.Sampling(max_new_tokens=12))
    chat.ask("a photo of scissors")
    again = chat.stream("and a photo of it from above")
    assert not again.prepared.composed.opening
