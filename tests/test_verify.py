"""Checking an answer against what it cites."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line
from hypothesis import given
from hypothesis import strategies as st

import ragvis
from ragvis.assistant.verify import Verifier
from ragvis.composer import sentences, without_citations
from ragvis.types import Hit, Source


def passage(n: int, text: str) -> Source:
    hit = Hit(f"t{n}", "text", f"{n}.txt", "", "", None, (0, 9), None, "0", 1.0, {}, text, "")
    return Source(n, hit, "text", True)


PUMP = passage(1, "The Acme X2 pump weighs 38 kilograms and runs at 230 volts.")
OWLS = passage(2, "Snowy owls hunt lemmings by day on the open tundra.")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It weighs 38.5 kg [1]. So it is [2].", ["It weighs 38.5 kg [1].", "So it is [2]."]),
        ("It is so. [1][2] And on", ["It is so. [1][2]", "And on"]),
        ("One [1] Two [2]", ["One [1]", "Two [2]"]),
        ("Mr. Quist of St. Ives left. He did", ["Mr. Quist of St. Ives left.", "He did"]),
        ("a\n\n* b [1]\n* c", ["a", "* b [1]", "* c"]),
        ("[1]", []),
        ("", []),
    ],
)
def test_sentences_keep_their_citations(text: str, parts: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text)] == parts


@given(st.text(alphabet="aB1 .!?\n[]\"'", max_size=60))
def test_sentences_lie_in_order_and_leave_no_word_out(text: str) -> None:
    spans = sentences(text)
    flat = [edge for span in spans for edge in span]
    assert flat == sorted(flat) and all(a < b for a, b in spans)
    assert "".join(text[a:b] for a, b in spans).count("a") == text.count("a")


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("It weighs 38 kg [1].", "It weighs 38 kg."),
        ("[1] shows a cat [2].", "It shows a cat."),
        ("[1] Cats purr.", "Cats purr."),
    ],
)
def test_a_claim_has_no_numbers_and_a_subject(sentence: str, claim: str) -> None:
    assert without_citations(sentence) == claim


def test_what_the_source_says_scores_above_what_it_does_not(pocket_generator: Any) -> None:
    check = Verifier(pocket_generator).check
    asked = "How much does the Acme X2 pump weigh?"
    text = "The Acme X2 pump weighs 38 kilograms {}."
    right = check(asked, text.format("[1]"), [PUMP, OWLS], {})
    wrong = check(asked, text.format("[2]"), [PUMP, OWLS], {})
    assert right[0].supported and not wrong[0].supported
    assert (right[0].start, right[0].end) == (0, len(text.format("[1]")))
    both = check(asked, text.format("[1]") + " Owls hunt it [2].", [PUMP, OWLS], {})
    assert len(both) == 2 and both[0] == right[0]


def test_ask_marks_what_is_not_borne_out(demo_index: Path, pocket_generator: Any) -> None:
    with ragvis.Index.open(demo_index) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), "pocket")
        assert assistant.ask("What do honeybees make?").support is None
        answer = assistant.ask("Which picture shows the flag of France?", verify=True)
    assert "pixels" in {s.placed for s in answer.sources}
    assert answer.support is not None and answer.timing_s["verify"] > 0
    assert json.loads(json.dumps(answer.to_dict()))["support"][0]["score"] >= 0
    assert all(answer.text[s.start : s.end].strip() for s in answer.support)


def test_verify_on_the_command_line(demo_index: Path, tmp_path: Path) -> None:
    result = run_command_line(
        "ask", "what is the highest point of Peru?", "-i", demo_index, "--verify"
    )
    assert result.exit_code == 0, result.stderr
    assert ("Unsupported" in result.stdout) != ("bears the answer out" in result.stderr)
    questions = tmp_path / "q.jsonl"
    line = {
        "id": "a",
        "question": "what is the highest point of Peru?",
        "relevant": ["country-peru.md"],
    }
    questions.write_text(json.dumps({**line, "answerable": True}))
    arguments = ["eval", questions, "-i", demo_index, "--answers", "--verify", "--json"]
    values = json.loads(run_command_line(*arguments).stdout)["rows"][0]["values"]
    assert {"answers.marked_right", "answers.marked_wrong"} & set(values)
