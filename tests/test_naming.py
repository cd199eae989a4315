"""Questions about a photo, asked of what it shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DEMO, run_command_line, writes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import ragvis
from ragvis import encoder as encoders
from ragvis.assistant import prepared
from ragvis.assistant.assistant import Chat
from ragvis.assistant.history import History
from ragvis.composer import named
from ragvis.logs import Entry, record_of, resume

PANDA = DEMO / "images" / "animal-panda.jpg"
DESCRIBED = "What do the sources say about the animal in the image?"


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

    def ask() -> prepared.Prepared:
        options, past = prepared.AskOptions(), History()
        return prepared.Prepared(
            retriever, lambda: pocket_generator, question, photo, options, past
        )

    by_name = ask()
    prompt = by_name.composed.prompt
    assert "Question: How high is landmark eiffel tower?" in prompt  # its file's name
    assert "<image>" not in prompt and not by_name.pictures
    assert by_name.composed.sources[-1].note == "landmark eiffel tower"
    monkeypatch.setattr(pocket_generator, "family", replace(pocket_generator.family, links=True))
    shown = ask()
    assert f"Question: {question}" in shown.composed.prompt and len(shown.pictures) == 1


def test_a_conversation_goes_on_about_a_photo_that_had_a_name(
    assistant: ragvis.Assistant,
) -> None:
    """It is shown where it is not named, and a conversation from the log is the same."""
    chat = assistant.chat()
    stream = chat.stream(DESCRIBED, PANDA)
    answer = stream.read()
    own = answer.sources[-1]
    assert (own.hit.file, own.placed) == (str(PANDA), "name")
    assert "bamboo" in answer.text and not own.cited
    record = json.loads(json.dumps(record_of(stream)))
    history = resume([Entry(1, "talk", "now", record)], pytest.fail)
    taken = Chat(assistant, prepared.AskOptions(), history)
    for one in (chat, taken):
        follow_up = one.stream("And where does it live?").prepared
        assert [s.hit.file for s in follow_up.composed.pixel_sources] == [str(PANDA)]
        assert follow_up.composed.sources[0].n == own.n


@pytest.mark.parametrize(("others", "k"), [((), None), (("animal-afraid.png",), 1)])
def test_where_nothing_of_the_name_is_placed_the_model_is_not_asked(
    tmp_path: Path,
    pocket_encoder: Any,
    pocket_generator: Any,
    monkeypatch: pytest.MonkeyPatch,
    others: tuple[str, ...],
    k: int | None,
) -> None:
    """Nothing is known of it, or nothing of that fits."""
    monkeypatch.setattr(encoders, "load", lambda name, tell: pocket_encoder)
    monkeypatch.setattr(prepared, "LEAST_BESIDE_A_PHOTO", 0.0)  # any other picture is found
    photo = tmp_path / "stilt.png"
    Image.effect_mandelbrot((90, 90), (-2, -2, 1, 2), 90).save(photo)
    for other in others:
        Image.new("RGB", (90, 90), "red").save(tmp_path / other)
    with ragvis.Index.create(tmp_path / "index", "pocket") as index:
        index.add([photo, *(tmp_path / other for other in others)])
        assistant = ragvis.Assistant(ragvis.Retriever(index), pocket_generator)
        stream = assistant.stream("What is this animal afraid of?", photo, k=k)
        answer = stream.read()
    assert answer.abstained and not answer.prompt and not answer.usage["prompt_tokens"]
    assert [(s.placed, s.note) for s in answer.sources] == [("name", "stilt")]
    record = json.loads(json.dumps(record_of(stream)))
    assert resume([Entry(1, "talk", "now", record)], pytest.fail).attachments("And it?")


def test_a_photo_that_is_not_shown_cannot_be_cited(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = assistant.stream(DESCRIBED, PANDA)
    own = stream.prepared.composed.sources[-1]
    writes(monkeypatch, pocket_generator, f"It eats bamboo [1] [{own.n}].")
    answer = stream.read()
    assert own.placed == "name" and [c.n for c in answer.citations] == [1]
    monkeypatch.undo()
    (support,) = assistant.ask(DESCRIBED, PANDA, verify=True).support or ()
    assert 0 <= support.score <= 1


def test_photos_that_are_to_be_looked_at_are_shown(assistant: ragvis.Assistant) -> None:
    noted = assistant.stream(DESCRIBED, PANDA, pictures="each").prepared
    assert "Panda" in noted.asked and noted.composed.sources[0].placed == "note"
    koala = PANDA.with_name("animal-koala.jpg")
    both = assistant.stream(DESCRIBED, [PANDA, koala]).prepared
    assert both.asked == DESCRIBED and len(both.pictures) == 2


def test_the_command_line_says_what_a_photo_was_taken_for(demo_index: Any) -> None:
    result = run_command_line("ask", DESCRIBED, "-i", str(demo_index), "-a", str(PANDA))
    assert result.exit_code == 0, result.stderr
    said = "taken for “animal panda”, and not shown to the model"
    assert said in result.stderr and str(PANDA) not in result.stdout
