"""``--images each``: a pass for every picture, and an answer from what was noted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoints import FAMILIES
from conftest import DEMO, run_command_line
from test_composer import make_hit, make_spec

import ragvis
from ragvis import generator
from ragvis.assistant.notes import NoteTaker
from ragvis.composer import Attachment, Room, compose
from ragvis.media.source import load_picture
from ragvis.prompts import NOT_FOUND
from ragvis.types import Source

FLAG = DEMO / "images" / "flag-italy.jpg"
ASKED = "Which country has this flag?"


def test_a_note_takes_the_place_of_the_pixels() -> None:
    hits = [make_hit(1, "image", None), make_hit(2, "image", "A cat."), make_hit(3)]
    photo = Attachment(make_hit(9, "image", None), (9, 9), "holiday")
    notes = {"i1": "Two boats. <image> </s>", "i2": "A cat on a mat.", "i9": ""}
    sizes = {"i1": (9, 9), "i2": (9, 9)}
    composed = compose("?", hits, [photo], sizes, make_spec(pixels=1), Room(), notes=notes)
    assert [s.placed for s in composed.sources] == ["note", "note", "note", "text"]
    assert [s.note for s in composed.sources] == ["", notes["i1"], notes["i2"], ""]
    lines = composed.turn.body.splitlines()
    assert lines[0].endswith("— holiday")
    assert lines[1].endswith("— Two boats. < image> < /s>")
    assert lines[2].endswith("— A cat. A cat on a mat.")
    assert "<image>" not in composed.prompt and composed.pixel_sources == ()


def test_every_picture_is_looked_at_and_the_answer_says_so(
    demo_index: Path, pocket_generator: Any
) -> None:
    both = [FLAG, FLAG.with_name("flag-japan.jpg")]
    with ragvis.Index.open(demo_index) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), pocket_generator)
        answer = assistant.ask(ASKED, [FLAG], pictures="each")
        which = assistant.ask("Which source shows the flag of Japan?", both, pictures="each")
    assert answer.sources[0].placed == "note"
    assert "flag of Italy" in answer.sources[0].note and "[" not in answer.sources[0].note
    flags = [s.note for s in which.sources if s.placed == "note"][:2]
    assert ["Italy" in flags[0], "Japan" in flags[1]] == [True, True]
    assert "Italy" in answer.text and "<image>" not in answer.prompt
    assert answer.sources[0].note in answer.prompt
    assert answer.usage["notes_prompt_tokens"] > 64 and answer.timing_s["notes"] > 0
    assert answer.usage["prompt_tokens"] == answer.ledger.total
    known = answer.to_dict()["sources"][0]
    assert (known["placed"], known["note"]) == ("note", answer.sources[0].note)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_notes(family: str, tmp_path: Path) -> None:
    model = generator.load(str(FAMILIES[family](tmp_path / "model")), lambda line: None)
    hits = [make_hit(n, "image", None) for n in (1, 2)]
    pictures = {hit.id: load_picture(FLAG) for hit in hits}
    taker = NoteTaker(model)
    notes = taker.notes("What is it?", hits, pictures)
    assert set(notes) == {"i1", "i2"}
    assert taker.usage.prompt_tokens > 0


class Refusing:
    """A model that finds nothing."""

    usage = generator.sampling.Usage()
    spec = make_spec()

    def stream(self, *_: object) -> Iterator[str]:
        yield NOT_FOUND


def test_a_refusal_is_no_note() -> None:
    hit = make_hit(1, "image", None)
    notes = NoteTaker(Refusing()).notes("?", [hit], {"i1": load_picture(FLAG)})  # type: ignore[arg-type]
    assert notes == {"i1": ""}


def test_the_command_logs_replays_and_shows_it(demo_index: Path, tmp_path: Path) -> None:
    options = ["-i", demo_index, "-m", "pocket", "-a", FLAG, "--images", "each"]
    page = tmp_path / "page.html"
    said = run_command_line("ask", ASKED, *options, "--verify", "--json", "--html", page)
    assert said.exit_code == 0, said.stderr
    source = json.loads(said.stdout)["sources"][0]
    assert source["placed"] == "note"
    assert f"of this picture alone: “{source['note']}”" in page.read_text()
    again = run_command_line("replay", "1")
    assert again.exit_code == 0, again.stdout + again.stderr
    assert source["note"] in run_command_line("ask", ASKED, *options).stdout


def test_older_records_have_no_notes() -> None:
    from ragvis.logs.record import source_of

    value = Source(1, make_hit(1), "text").to_dict()
    del value["note"]
    assert source_of(value).note == ""


def test_a_chat_goes_on_about_a_photo_that_was_noted(
    demo_index: Path, pocket_generator: Any
) -> None:
    with ragvis.Index.open(demo_index) as index:
        chat = ragvis.Assistant(ragvis.Retriever(index), pocket_generator).chat(pictures="each")
        assert "Italy" in chat.ask(ASKED, [FLAG]).text
        assert chat.ask("And what is its population?").sources[0].note
    options = ["-i", demo_index, "-m", "pocket", "--images", "each"]
    run_command_line("ask", ASKED, *options, "-a", FLAG)
    again = run_command_line("ask", "-c", "And what is its population?", *options)
    assert again.exit_code == 0, again.stderr
