"""One model, several answers at once: by threads, and between two words of another."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from checkpoints import FAMILIES

import ragvis
from ragvis import generator
from ragvis.generator import Sampling, steps
from ragvis.generator.choice import LazyModel, ModelChoice

QUESTIONS = [
    "What is the capital of Japan?",
    "What is the highest point of Peru?",
    "How many moons has Jupiter?",
    "Which tool grips a nut?",  # whose answer is looked at again
]
SHORT = Sampling(max_new_tokens=8)


def told(answer: ragvis.Answer) -> tuple[str, int, int]:
    return answer.text, answer.usage["prompt_tokens"], answer.usage["completion_tokens"]


def test_threads_get_the_answers_of_one(assistant: ragvis.Assistant) -> None:
    alone = [told(assistant.ask(question)) for question in QUESTIONS]
    assert len(set(alone)) == len(QUESTIONS)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda q: told(assistant.ask(q)), 3 * QUESTIONS))
    assert together == 3 * alone


def test_an_answer_between_two_words_of_another(assistant: ragvis.Assistant) -> None:
    alone = [told(assistant.ask(question)) for question in QUESTIONS[:3]]
    streams = [assistant.stream(question) for question in QUESTIONS[:2]]
    words = [iter(stream) for stream in streams]
    for _ in range(2):
        [next(more) for more in words]
    assert told(assistant.ask(QUESTIONS[2])) == alone[2]
    for more in words:
        list(more)
    assert ["".join(stream) for stream in streams] == [text for text, _, _ in alone[:2]]
    assert [told(stream.answer) for stream in streams] == alone[:2]


@pytest.mark.parametrize("quantize", ["none", "8bit"])
def test_a_stream_that_is_left_in_the_middle(tmp_path: Path, quantize: str) -> None:
    FAMILIES["llava_1_5"](tmp_path / "model")
    model = generator.load(str(tmp_path / "model"), print, quantize=quantize)
    prompt = "USER: What is it? ASSISTANT:"
    whole = "".join(model.stream(prompt, [], SHORT))
    left = model.stream(prompt, [], SHORT)
    next(left)
    assert "".join(model.stream(prompt, [], SHORT)) == whole
    assert model.usage.completion_tokens
    del left
    assert "".join(model.stream(prompt, [], SHORT)) == whole


def test_a_seed_holds_beside_another_answer(tmp_path: Path) -> None:
    FAMILIES["llava_1_5"](tmp_path / "model")
    model = generator.load(str(tmp_path / "model"), print, quantize="8bit")
    prompt, drawn = (
        "USER: What is it? ASSISTANT:",
        Sampling(max_new_tokens=8, temperature=1, seed=3),
    )
    alone = "".join(model.stream(prompt, [], drawn))
    assert alone != "".join(model.stream(prompt, [], SHORT))
    words = [model.stream(prompt, [], drawn) for _ in range(2)]
    pairs = list(zip_longest(*words, fillvalue=""))
    assert ["".join(one) for one in zip(*pairs, strict=True)] == [alone, alone]


@pytest.mark.parametrize("beams", [1, 2])
def test_each_answer_has_its_own_count(tmp_path: Path, beams: int) -> None:
    FAMILIES["llava_1_5"](tmp_path / "model")
    model = generator.load(str(tmp_path / "model"), print, quantize="none")
    sampling = Sampling(max_new_tokens=4, num_beams=beams)
    short, long = "USER: What? ASSISTANT:", "USER: What is it that is shown there? ASSISTANT:"
    counts = []
    for prompt in (short, long):
        list(model.stream(prompt, [], sampling))
        counts.append(model.usage.prompt_tokens)
    first, second = model.stream(short, [], sampling), model.stream(long, [], sampling)
    next(first), list(second)
    list(first)
    assert model.usage.prompt_tokens == counts[0] < counts[1]


def test_threads_share_a_model_in_whole_weights(tmp_path: Path) -> None:
    FAMILIES["llava_1_5"](tmp_path / "model")
    model = generator.load(str(tmp_path / "model"), print, quantize="none")
    prompts = [f"USER: What is {word}? ASSISTANT:" for word in ("red", "that", "a pump", "he")]
    alone = ["".join(model.stream(prompt, [], SHORT)) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda p: "".join(model.stream(p, [], SHORT)), 3 * prompts))
    assert together == 3 * alone


def test_nothing_goes_on_from_half_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FAMILIES["llava_1_5"](tmp_path / "model")
    model = generator.load(str(tmp_path / "model"), print, quantize="8bit")
    prompt = "USER: What is it? ASSISTANT:"
    whole = "".join(model.stream(prompt, [], SHORT))

    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(steps.Step, "_run", interrupted)
        "".join(model.stream(prompt, [], SHORT))
    assert "".join(model.stream(prompt, [], SHORT)) == whole
    assert model.usage.reused_tokens == 0


def test_two_threads_load_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, loaded = threading.Barrier(2), list[str]()
    monkeypatch.setattr(generator, "load", lambda *_, **__: [loaded.append("one")])
    lazy = LazyModel(ModelChoice("pocket"), print)

    def use(_: int) -> Any:
        begun.wait()
        return lazy.generator

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(use, range(2))
    assert one is other and loaded == ["one"]
