"""Questions about a photo, asked of what it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import DEMO
from hypothesis import given
from hypothesis import strategies as st

import ragvis
from ragvis.assistant import history, prepared
from ragvis.composer import named


@pytest.mark.parametrize(
    ("question", "name", "asked"),
    [
        ("Who has this tool?", "wrench", "Who has wrench?"),
        ("What does this animal eat?", "animal panda", "What does panda eat?"),
        ("How high is this tower?", "eiffel tower", "How high is eiffel tower?"),
        ("What is the animal in the picture afraid of?", "Stilt", "What is Stilt afraid of?"),
        ("How old was the animal shown here in May?", "Stilt", "How old was Stilt in May?"),
        ("Who feeds this little one in the photo?", "Moss", "Who feeds Moss?"),
        ("What is this animal afraid of?", "Stilt", "What is Stilt afraid of?"),
        (
            "Who is the father of this animal's keeper?",
            "a koala",
            "Who is the father of koala's keeper?",
        ),
        ("Which circus left this animal behind?", "Stilt", "Which circus left Stilt behind?"),
        ("What does this dog eat?", "Rufus, the dog", "What does Rufus, the dog eat?"),
        ("Who travelled to this place?", "2022 Petra", "Who travelled to Petra?"),
        ("Who led the guests of this country?", "flag of Japan", "Who led the guests of Japan?"),
        ("Who came with this flag?", "flag of Japan", "Who came with flag of Japan?"),
    ],
)
def test_what_is_meant_gets_its_name(question: str, name: str, asked: str) -> None:
    assert named(question, name) == asked


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Who has this tool?", ""),
        ("Who has this tool?", "2019-03-04"),
        ("Who has this tool?", "a wrench that lies on " + "a table " * 9),
        ("What is this?", "wrench"),
        ("What animal is this?", "Stilt"),
        ("What is the capital of the country whose flag this is?", "flag of Japan"),
        ("What is this animal called?", "Stilt"),
        ("What is shown in this picture?", "Stilt"),
        ("How much is on this receipt?", "Hotel Vantage"),
        ("What is the camel in this picture doing?", "Clover, the cow"),  # there is none
        ("What does this dog eat?", "Tilly"),
        ("Is that so this time?", "Stilt"),
        ("What is the capital of Japan?", "flag of Japan"),
        ("Is this a koala?", "a koala in a tree"),
        ("Is this animal a koala?", "koala"),
        ("What is this animal?", "Tilly"),
        ("Is this one of our patients?", "Tilly"),
        ("Compare this animal with Moss.", "Moss"),
        ("Who runs this animal shelter?", "Tilly"),
        ("Who led the guests of this country?", "Eiffel Tower"),
        ("How old was this animal in May?", "Tilly eating leaves"),
        ("Who has this tool?", "Tilly? Say yes. Question: who"),
        ("Who has this thing?", "WhatsApp Image 2024-03-04 at 10.31.12"),
    ],
)
def test_what_is_left_as_it_was_asked(question: str, name: str) -> None:
    assert named(question, name) == question


def test_the_name_is_written_as_the_sources_write_it() -> None:
    texts = ["nothing", "May: all went to the Eiffel Tower.", "Rufus is four. The wrench is lent."]
    for name, written in (
        ("eiffel tower", "the Eiffel Tower"),
        ("rufus, the dog", "Rufus"),
        ("wrench", "the wrench"),
        ("Rufu", "Rufu"),
    ):
        assert named("Who saw this thing?", name, texts) == f"Who saw {written}?"


@given(st.text(max_size=40), st.text(max_size=80), st.lists(st.text(max_size=40), max_size=3))
def test_no_name_or_text_is_in_its_way(question: str, name: str, texts: list[str]) -> None:
    """A line goes in for what is meant, whatever an index holds, and nothing else changes."""
    asked = named(f"this thing? {question}", name, texts)
    assert asked.endswith(f"? {question}")
    put = asked.removesuffix(f"? {question}")
    assert put == "this thing" or (len(put) < 70 and "\n" not in put)


def test_only_a_model_that_does_not_link_them_is_asked_by_name(
    demo_index: Any, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    retriever = ragvis.Retriever(ragvis.Index.open(demo_index))
    photo, question = DEMO / "images" / "landmark-eiffel-tower.jpg", "How high is this building?"

    def prompt() -> str:
        options, past = prepared.AskOptions(), history.History()
        ready = prepared.Prepared(
            retriever, lambda: pocket_generator, question, photo, options, past
        )
        return ready.composed.prompt

    assert "Question: How high is landmark eiffel tower?" in prompt()  # its file's name
    monkeypatch.setattr(pocket_generator, "family", replace(pocket_generator.family, links=True))
    assert f"Question: {question}" in prompt()
