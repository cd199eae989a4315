"""Answers that are cut off say so, whatever wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line
from test_remote import PROMPT, chunk, serving
from test_remote import load as load_served

import ragvis
from ragvis.generator import Sampling
from ragvis.generator.sampling import Usage
from ragvis.prompts import NOT_FOUND, is_cut_refusal

ASKED = "What is the capital of Japan?"


@pytest.mark.parametrize("beams", [1, 2])
def test_every_way_of_writing_tells_why_it_ended(load: Callable[..., Any], beams: int) -> None:
    """Random weights write on until they are stopped; one of their tokens is made an end."""
    generator = load("llava_1_5")
    sampling = Sampling(max_new_tokens=4, num_beams=beams)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None}]
    prompt = ragvis.conversation.render(generator.family.template, turns)

    def reasons() -> set[str]:
        list(generator.stream(prompt, [], sampling))
        together = generator.write_many([(prompt, [])], sampling)
        return {generator.usage.finish_reason, together[0].usage.finish_reason}

    assert reasons() == {"length"}
    written = generator._generate(generator.inputs(prompt, []), sampling)
    generator._stop_tokens |= set(written.tolist())
    try:
        assert reasons() == {"stop"} or beams > 1  # beams go around an end
    finally:
        generator._stop_tokens.clear()


@pytest.mark.parametrize(("most", "reason"), [(5, "length"), (256, "stop")])
def test_a_cut_answer_says_so(demo_index: Path, most: int, reason: str) -> None:
    options = ["-i", demo_index, "-m", "pocket", "-n", "-o", "max_new_tokens", str(most)]
    done = run_command_line("ask", ASKED, *options, "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == 0 and answer["finish_reason"] == reason
    assert ("cut at max_new_tokens" in done.stderr) == (reason == "length")


@pytest.mark.parametrize("most", [1, 2])
def test_an_answer_of_a_token_or_two_is_no_refusal(
    assistant: ragvis.Assistant, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    from ragvis.assistant import doubt

    monkeypatch.setattr(doubt, "WEAK", 2.0)  # it is asked again on any evidence
    answer = assistant.ask(ASKED, sampling=Sampling(max_new_tokens=most))
    assert not answer.abstained and answer.finish_reason == "length"


def test_a_refusal_that_was_cut_is_whole(
    assistant: ragvis.Assistant, pocket_generator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stream(self: Any, *_: Any) -> Iterator[str]:
        yield "Not found"
        self.usage = Usage(3, 2, finish_reason="length")

    monkeypatch.setattr(type(pocket_generator), "stream", stream)
    monkeypatch.setattr(ragvis.assistant.prepared.Prepared, "can_be_doubted", False)
    pieces = assistant.stream(ASKED)
    assert "".join(pieces) == NOT_FOUND
    assert pieces.answer.abstained and pieces.answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("Not", True), ("Not found in the", True), ("No", False), ("", False), ("Nothing", False)],
)
def test_what_was_about_to_be_a_refusal(text: str, is_one: bool) -> None:
    assert is_cut_refusal(text) == is_one


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_a_server_s_own_reason_is_kept(demo_index: Path, reason: str) -> None:
    end = json.dumps(
        {
            "id": "c",
            "object": "chunk",
            "model": "m-1",
            "choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        }
    )
    with serving([chunk("Tokyo"), end, "[DONE]"]) as server:
        model = load_served(server)
        assert list(model.stream(PROMPT, [], Sampling())) == ["Tokyo"]
        assert model.usage == Usage(7, 2, finish_reason=reason)
        with ragvis.Index.open(demo_index) as index:
            answer = ragvis.Assistant(ragvis.Retriever(index), server.name).ask(ASKED)
            assert answer.to_dict()["finish_reason"] == reason
        done = run_command_line("ask", ASKED, "-i", demo_index, "-m", server.name, "-n")
        assert ("content_filter" in done.stderr) == (reason == "content_filter")
