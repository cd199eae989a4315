"""An answer on weak evidence is looked at again before it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import DEMO, writes
from test_verify import OWLS, PUMP

import ragvis
from ragvis.assistant import prepared
from ragvis.assistant.verify import Verifier
from ragvis.generator.sampling import Usage, Written
from ragvis.prompts import NOT_FOUND

ASKED = "What is the capital of Kenya?"


def test_what_the_cited_source_does_not_answer_is_doubted(pocket_generator: Any) -> None:
    doubted = Verifier(pocket_generator).is_doubted
    asked = "How much does the Acme X2 pump weigh?"
    said = "The Acme X2 pump weighs 38 kilograms {}."
    assert doubted(asked, said.format("[2]"), [PUMP, OWLS], {})
    assert not doubted(asked, said.format("[1]"), [PUMP, OWLS], {})
    for all_of_it in ("[1][2]", ""):  # it was shown that already
        assert not doubted(asked, said.format(all_of_it), [PUMP, OWLS], {})


@pytest.fixture
def weak(monkeypatch: pytest.MonkeyPatch) -> None:
    """All evidence is."""
    monkeypatch.setattr(prepared, "WEAK", 1.1)


def numbers(assistant: ragvis.Assistant) -> tuple[int, int]:
    """Of a source that answers, and of one that does not."""
    sources = assistant.stream(ASKED).prepared.composed.sources
    says = {s.n: "Nairobi" in str(s.hit.text) for s in sources}
    return next(n for n in says if says[n]), next(n for n in says if not says[n])


@pytest.mark.usefixtures("weak")
def test_a_doubted_answer_is_never_given(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = assistant.stream(ASKED)
    assert before.read().text != NOT_FOUND and "check" in before.answer.timing_s
    right, wrong = numbers(assistant)
    assert before.answer.citations[0].n == right
    writes(monkeypatch, pocket_generator, f"It is Lusaka [{wrong}].")
    stream = assistant.stream(ASKED)
    assert list(stream) == [NOT_FOUND]
    answer = stream.answer
    assert answer.withheld == f"ItisLusaka[{wrong}]."
    assert answer.abstained and not answer.citations and not any(s.cited for s in answer.sources)
    writes(monkeypatch, pocket_generator, f"It is Nairobi [{right}].")
    assert list(assistant.stream(ASKED)) == [f"ItisNairobi[{right}]."]


@pytest.mark.usefixtures("weak")
def test_answers_written_together_are_looked_at_too(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [ASKED, "What is the highest point of Peru?"]
    right, wrong = numbers(assistant)
    texts = [f"It is Lusaka [{wrong}].", NOT_FOUND]
    monkeypatch.setattr(pocket_generator, "batch", 2)
    order = list[str]()

    def write_many(prompts: Any, _: Any) -> list[Written]:
        order.extend(prompt for prompt, _ in prompts)
        return [Written(texts["Peru?" in prompt], Usage()) for prompt in order]

    monkeypatch.setattr(pocket_generator, "write_many", write_many)
    first, second = (stream.read() for stream in assistant.ask_many(asked))
    assert len(order) == 2 and first.abstained and second.abstained
    assert first.withheld == texts[0] and "check" in first.timing_s
    assert second.withheld is None and "check" not in second.timing_s  # it had refused by itself
    order.clear()
    texts[0] = f"It is Nairobi [{right}]."
    first, _ = (stream.read() for stream in assistant.ask_many(asked))
    assert (first.text, first.withheld) == (texts[0], None)


@pytest.mark.usefixtures("weak")
def test_what_is_withheld_is_not_verified_and_can_be_looked_up(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, wrong = numbers(assistant)
    writes(monkeypatch, pocket_generator, f"Lusaka [{wrong}].")
    answer = assistant.ask(ASKED, verify=True)
    assert answer.abstained and answer.support is None
    assert answer.to_dict()["withheld"] == f"Lusaka[{wrong}]."


def test_what_is_not_looked_at(
    assistant: ragvis.Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not assistant.stream(ASKED).prepared.is_doubtful  # strong evidence
    monkeypatch.setattr(prepared, "WEAK", 1.1)
    photo = DEMO / "images" / "flag-japan.jpg"
    assert not assistant.stream("the capital of this country", photo).prepared.is_doubtful
    chat = assistant.chat(sampling=ragvis.Sampling(max_new_tokens=4))
    chat.ask("the capital of this country", photo)
    assert not chat.stream("and its highest point?").prepared.is_doubtful  # of the same photo
    assert not assistant.stream("a photo of scissors").prepared.is_doubtful  # which begins with it
    assert assistant.stream(ASKED).prepared.is_doubtful


def test_other_models_are_taken_at_their_word(
    pocket_generator: Any, load: Callable[[str], Any]
) -> None:
    assert pocket_generator.spec.doubts
    assert not load("llava_1_5").spec.doubts
