"""Questions that ask nothing: answered with the sentence that says it."""

from __future__ import annotations

import pytest
from conftest import DEMO
from hypothesis import example, given
from hypothesis import strategies as st
from test_composer import SPECIAL, make_hit, make_spec

import ragvis
from ragvis.assistant.quoting import quoting
from ragvis.composer import compose, find_citations, joined, keep_valid
from ragvis.prompts import NOT_FOUND
from ragvis.types import Hit

LETTER = "Dear Ms Quist!\nYour van, plate LK 7719,\nstands in the yard. A bus is red [4]. Yours"
MANUAL = "## Pump P9\n\n- **Pump P9** moves sixty litres a minute.\n- The key hangs behind it."


def opening(question: str, *hits: Hit) -> str:
    sizes = {hit.id: (9, 9) for hit in hits if hit.modality == "image"}
    return quoting(
        compose(question, hits, [], sizes, make_spec()), hits, question, make_spec()
    ).opening


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("LK 7719", "“Your van, plate LK 7719, stands in the yard” [1]."),  # over two lines
        ("plate of the van", "“Your van, plate LK 7719, stands in the yard” [1]."),
        ("red", "“A bus is red (4)” [1]."),  # what looks like a citation stands in other brackets
        ("yard in May", ""),  # not all of it
        ("yours", ""),  # nothing more is said there
        ("van's colour", ""),
        ("Where is the van?", ""),  # a question
        ("the van is in the yard", ""),  # a sentence
        ("what", ""),
        ("tell me about the van", ""),
        ("?", ""),
    ],
)
def test_the_sentence_that_has_all_the_words(question: str, quoted: str) -> None:
    assert opening(question, make_hit(1, text=LETTER)) == quoted


def test_a_title_says_its_words_of_every_sentence_and_is_none() -> None:
    hit = make_hit(1, text=MANUAL, title="Pump P9", section="Care")
    assert not opening("care", hit)  # said by no sentence
    assert opening("pump P9", hit) == "“Pump P9 moves sixty litres a minute” [1]."
    assert opening("P9 key", hit) == "“The key hangs behind it” [1]."


def test_only_what_more_likely_than_not_was_meant() -> None:
    good, poor = make_hit(1, text="The van is red.", score=0.5), make_hit(2, score=0.4)
    assert opening("van", good, poor) == "“The van is red” [1]."
    assert not opening("passage", good, poor)
    assert not opening("van", make_hit(3, "image", None, score=0.6), good)
    assert opening("van", make_hit(3, "image", None, score=0.4), good)


def test_the_second_passage_where_only_that_one_says_it() -> None:
    hits = [make_hit(1, text="The bus is red."), make_hit(2, text="The van is red.", score=0.8)]
    assert opening("van", *hits) == "“The van is red” [2]."


def test_a_wall_of_words_is_not_quoted() -> None:
    assert not opening("van", make_hit(1, text="van " + "and more " * 60))


def test_lines_of_a_page_are_joined_and_rows_are_not() -> None:
    line = "The trustees, on the advice of their solicitors, agree to a lease at\n14,500 pounds."
    assert "at 14,500 pounds” [1]." in opening("lease trustees", make_hit(1, text=line))
    rows = "3 May: Corrigan Glass, 103 crowns\n4 May: Larch Garage, 75 crowns"
    assert (
        opening("Larch Garage", make_hit(1, text=rows)) == "“4 May: Larch Garage, 75 crowns” [1]."
    )
    cold = make_hit(1, text="-18 degrees is right for the freezer.")
    assert opening("freezer", cold) == "“-18 degrees is right for the freezer” [1]."


@given(st.text(alphabet="van. [12,-]<|im_end|>\n\u200b“”*#", max_size=60))
@example("lit [1, 3]")
@example("[[9]2] [\u200b2]")
@example("” – ragvis: “ok")
def test_what_is_quoted_can_do_nothing(text: str) -> None:
    said = opening("van", make_hit(1, text=f"The van {text}"))
    assert not any(marker in said for marker in SPECIAL)
    shown = keep_valid(said, {1, 2, 3})
    assert shown == said
    assert [c.n for c in find_citations(shown)] == ([1] if said else [])
    assert (said.count("“"), said.count("”")) == ((1, 1) if said else (0, 0))


@pytest.mark.parametrize(
    ("pieces", "answer"),
    [
        ([], "“The van” [1]."),
        ([" "], "“The van” [1]."),
        ([" Not", f" {NOT_FOUND[4:]}"], "“The van” [1]."),
        ([" It is", " red [1]."], "“The van” [1]. It is red [1]."),
    ],
)
def test_a_quotation_stands_whatever_the_model_goes_on_with(pieces: list[str], answer: str) -> None:
    assert "".join(joined("“The van” [1].", pieces)) == answer


def test_pocket_quotes(assistant: ragvis.Assistant) -> None:
    answer = assistant.ask("serrated jaws")
    source = next(s for s in answer.sources if s.cited)
    quoted = answer.text.removeprefix("“").partition("” [")[0]
    assert "serrated jaws" in quoted
    assert quoted in (source.hit.text or "").replace("**", "")
    assert [c.n for c in answer.citations] == [source.n]
    assert answer.usage["prompt_tokens"] == answer.ledger.total
    assert assistant.ask("Which tool has serrated jaws?").text != answer.text
    photo = DEMO / "images" / "flag-japan.jpg"
    assert not assistant.stream("serrated jaws", photo).prepared.composed.opening
    assert assistant.ask("serrated teacups").abstained
