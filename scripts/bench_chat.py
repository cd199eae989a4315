#!/usr/bin/env python
"""Time to the first token of a conversation's turns, going on from the last one and starting over.

    python scripts/bench_chat.py PICTURE [--model pocket] [--turns 20] [--rounds 3]

The conversation is about one picture, its answers at most 24 tokens. "Over again" is the same
generator made to forget the last prompt and its pictures before every turn. Both say the same,
which is checked. Each figure is the median of the rounds; memory is the process's own. Pocket is
given a system text, without which it sees no earlier turn and there is nothing to go on from.
"""

from __future__ import annotations

import argparse
import statistics
import time

import psutil

from ragvis import generator
from ragvis.assistant import VisionChat
from ragvis.generator import Sampling
from ragvis.generator.llava import LlavaGenerator
from ragvis.prompts import POCKET_CHAT_SYSTEM

SHOWN = (1, 2, 5, 10, 20)
QUESTIONS = ("What is in the picture?", "Describe it in more words.", "Which colours has it?")


def talk(
    model: LlavaGenerator, picture: str, turns: int, over_again: bool
) -> list[tuple[float, str]]:
    """Seconds to the first token, and the answer, of each turn."""
    system = POCKET_CHAT_SYSTEM if model.family.template == "pocket" else None
    chat = VisionChat(model, sampling=Sampling(max_new_tokens=24), system=system)
    model.forget()
    said = []
    for n in range(turns):
        if over_again:
            model.forget()
        question = QUESTIONS[n % len(QUESTIONS)]
        started = time.perf_counter()
        pieces = chat.reply_stream(question) if n else chat.start_stream(picture, question)
        first = next(pieces, "")
        seconds = time.perf_counter() - started
        said.append((seconds, first + "".join(pieces)))
    return said


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("picture")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    model = generator.load(wanted.model, print)
    assert isinstance(model, LlavaGenerator), "a server keeps its own memory"
    talk(model, wanted.picture, 2, over_again=False)  # the first run warms libraries up
    process = psutil.Process()
    before = process.memory_info().rss
    rounds = [
        [talk(model, wanted.picture, wanted.turns, over) for over in (False, True)]
        for _ in range(wanted.rounds)
    ]
    for going_on, over_again in rounds:
        assert [t for _, t in going_on] == [t for _, t in over_again], "the answers differ"
    print(f"{wanted.model}: milliseconds to the first token\n")
    print(f"{'turn':>6}{'going on':>12}{'over again':>12}{'ratio':>8}")
    for n in (n for n in SHOWN if n <= wanted.turns):
        on, over = (1000 * statistics.median(r[i][n - 1][0] for r in rounds) for i in (0, 1))
        print(f"{n:6}{on:12.1f}{over:12.1f}{over / on:8.1f}")
    grown = (process.memory_info().rss - before) / 2**20
    talks = 2 * wanted.rounds
    print(f"\nmemory after {talks} conversations of {wanted.turns} turns: {grown:+.0f} MiB")


if __name__ == "__main__":
    main()
