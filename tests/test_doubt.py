"""An answer that the model is not sure of is looked at again before it is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import DEMO
from test_verify import OWLS, PUMP

import ragvis
from ragvis.assistant import doubt
from ragvis.assistant.verify import shown_again
from ragvis.generator.sampling import Usage, Written
from ragvis.prompts import IS_IT_SAID, NOT_FOUND

ASKED = "What is the capital of Kenya?"
RIGHT, WRONG = "The capital of Kenya is Nairobi [{}].", "The capital of Kenya is Lusaka [{}]."


def test_what_the_sources_say_is_told_from_what_they_do_not(pocket_generator: Any) -> None:
    asked = "How much does the Acme X2 pump weigh?"

    def odds(said: str) -> float:
        claim = IS_IT_SAID.format(asked, said)
        prompt = shown_again(claim, [PUMP, OWLS], {}, pocket_generator.spec)
        return float(pocket_generator.first(*prompt, "Yes")[0])

    assert odds("The Acme X2 pump weighs 38 kilograms.") > 0.5
    assert odds("The Acme X2 pump weighs 14 kilograms.") < 0.5
    assert odds("Owls.") < 0.5


def test_how_an_answer_begins_is_what_it_begins_with(
    assistant: ragvis.Assistant, pocket_generator: Any
) -> None:
    shown = assistant.stream(ASKED).prepared.shown_to_model
    text = "".join(pocket_generator.stream(*shown, ragvis.Sampling(max_new_tokens=8)))
    odds, begun = pocket_generator.first(*shown, NOT_FOUND)
    assert odds < 0.5 and text.startswith(begun)
    own, other = pocket_generator.first(*shown, begun)
    assert own > odds and other != begun
    step = pocket_generator._decoder
    pocket_generator._decoder = None  # as transformers' own layers have it
    try:
        assert pocket_generator.first(*shown, NOT_FOUND) == (pytest.approx(odds, abs=0.05), begun)
    finally:
        pocket_generator._decoder = step


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    """All evidence is."""
    monkeypatch.setattr(doubt, "WEAK", 1.1)


def says(monkeypatch: pytest.MonkeyPatch, generator: Any, text: str) -> list[str]:
    """Have a model write this; the ends of its prompts."""
    ends: list[str] = []

    def stream(self: Any, prompt: str, *_: Any) -> Iterator[str]:
        self.usage = Usage()
        ends.append(prompt[-20:])
        yield text.removeprefix("The") if prompt.endswith("The") else text

    monkeypatch.setattr(type(generator), "stream", stream)
    return ends


def refuses(monkeypatch: pytest.MonkeyPatch, generator: Any, odds: float) -> None:
    """Have a model refuse with these odds, or else begin with "The"."""
    real = type(generator).first

    def first(self: Any, prompt: str, pictures: Any, word: str) -> tuple[float, str]:
        found: tuple[float, str] = real(self, prompt, pictures, word)
        return (odds, "The") if word == NOT_FOUND else found

    monkeypatch.setattr(type(generator), "first", first)


def number(assistant: ragvis.Assistant) -> int:
    """Of the source that answers."""
    sources = assistant.stream(ASKED).prepared.composed.sources
    return next(s.n for s in sources if "Nairobi" in str(s.hit.text))


@pytest.mark.usefixtures("weak")
def test_an_answer_that_is_not_stood_by_is_never_given(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = number(assistant)
    says(monkeypatch, pocket_generator, WRONG.format(n))
    stream = assistant.stream(ASKED)
    assert list(stream) == [NOT_FOUND]
    answer = stream.answer
    assert answer.withheld == WRONG.format(n) == answer.to_dict()["withheld"]
    assert answer.abstained and not answer.citations and not any(s.cited for s in answer.sources)
    assert assistant.ask(ASKED, verify=True).support is None
    says(monkeypatch, pocket_generator, RIGHT.format(n))
    stream = assistant.stream(ASKED)
    assert list(stream) == [RIGHT.format(n)]
    assert stream.answer.withheld is None and "check" in stream.answer.timing_s


@pytest.mark.usefixtures("weak")
def test_answers_written_together_are_looked_at_too(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = number(assistant)
    texts = [WRONG.format(n), NOT_FOUND]
    monkeypatch.setattr(pocket_generator, "batch", 2)
    monkeypatch.setattr(doubt, "_ALONE", 1.1)  # one source alone is not believed here

    def write_many(prompts: Any, _: Any) -> list[Written]:
        return [Written(texts["Peru?" in prompt], Usage()) for prompt, _ in prompts]

    monkeypatch.setattr(pocket_generator, "write_many", write_many)
    asked = [ASKED, "Who designed the flag of Peru?"]
    first, second = (stream.read() for stream in assistant.ask_many(asked))
    assert (first.abstained, first.withheld) == (True, texts[0])
    assert (second.abstained, second.withheld) == (True, None)  # it had refused by itself
    texts[0] = RIGHT.format(n)
    first, _ = (stream.read() for stream in assistant.ask_many(asked))
    assert (first.text, first.withheld) == (texts[0], None)


@pytest.mark.parametrize(("said", "is_given"), [(RIGHT, True), (WRONG, False)])
def test_what_it_would_have_said_is_looked_at_before_it_refuses(
    assistant: ragvis.Assistant,
    pocket_generator: Any,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    is_given: bool,
) -> None:
    text = said.format(number(assistant))
    refuses(monkeypatch, pocket_generator, 0.8)
    ends = says(monkeypatch, pocket_generator, text)
    answer = assistant.ask(ASKED)
    assert ends[-1].endswith("assistant\nThe")
    assert answer.text == (text if is_given else NOT_FOUND)
    assert answer.withheld is None  # it never wrote that of its own
    assert answer.prompt.endswith("The") == is_given


def test_a_refusal_that_it_is_sure_of_stands(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuses(monkeypatch, pocket_generator, 0.95)
    ends = says(monkeypatch, pocket_generator, NOT_FOUND)
    answer = assistant.ask(ASKED)
    assert answer.abstained and "check" not in answer.timing_s and len(ends) == 1


def test_on_good_evidence_an_answer_comes_as_it_is_written(assistant: ragvis.Assistant) -> None:
    stream = assistant.stream(ASKED)
    pieces = list(stream)
    assert len(pieces) > 2 and "check" not in stream.answer.timing_s
    photo = DEMO / "images" / "flag-japan.jpg"
    assert assistant.stream("the capital of this country", photo).prepared.can_be_doubted
    assert not assistant.stream("a photo of scissors").prepared.can_be_doubted  # it begins with it


def test_other_models_are_taken_at_their_word(
    pocket_generator: Any, load: Callable[[str], Any]
) -> None:
    assert pocket_generator.spec.doubts
    assert not load("llava_1_5").spec.doubts


def overlooks(monkeypatch: pytest.MonkeyPatch, generator: Any, odds: float) -> None:
    """Have a model refuse, with these odds, to answer from several sources together."""
    first, stream = type(generator).first, type(generator).stream

    def looks(self: Any, prompt: str, pictures: Any, word: str) -> tuple[float, str]:
        if word == NOT_FOUND and prompt.count("] text:") > 1:
            return odds, "Lusaka"
        found: tuple[float, str] = first(self, prompt, pictures, word)
        return found

    def writes(self: Any, prompt: str, *more: Any) -> Iterator[str]:
        several = prompt.count("] text:") > 1
        yield from [NOT_FOUND[:3], NOT_FOUND[3:]] if several else stream(self, prompt, *more)

    monkeypatch.setattr(type(generator), "first", looks)
    monkeypatch.setattr(type(generator), "stream", writes)


@pytest.mark.parametrize("odds", [0.8, 0.2])
def test_what_it_overlooks_among_several_it_finds_in_one(
    assistant: ragvis.Assistant,
    pocket_generator: Any,
    monkeypatch: pytest.MonkeyPatch,
    odds: float,
) -> None:
    overlooks(monkeypatch, pocket_generator, odds)
    n = number(assistant)
    stream = assistant.stream(ASKED)
    pieces = list(stream)
    answer = stream.answer
    assert len(pieces) == 1 and "Nairobi" in answer.text and answer.withheld is None
    assert [c.n for c in answer.citations] == [n] and "check" in answer.timing_s
    assert answer.prompt.count("] text:") == 1 and f"[{n}] text:" in answer.prompt
    assert answer.ledger.total == answer.usage["prompt_tokens"] and answer.ledger.passages
    assert assistant.ask("Who designed the airport of Nairobi?").abstained
    overlooks(monkeypatch, pocket_generator, 0.95)
    assert assistant.ask(ASKED).abstained  # it is sure of it


def test_what_one_source_seems_to_say_has_to_be_said_there(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlooks(monkeypatch, pocket_generator, 0.2)
    monkeypatch.setattr(doubt, "_ALONE", 1.1)
    answer = assistant.ask(ASKED)
    assert answer.abstained and answer.prompt.count("] text:") > 1
    assert 0 < answer.usage["alone_prompt_tokens"] < answer.ledger.total


def test_a_passage_alone_is_not_asked_what_a_photo_shows(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlooks(monkeypatch, pocket_generator, 0.2)
    photo = DEMO / "images" / "photo-coffee.jpg"
    stream = assistant.stream("What is the capital of Kenya, and what is this?", photo)
    assert any(s.placed == "pixels" for s in stream.prepared.composed.sources)
    assert stream.read().abstained
