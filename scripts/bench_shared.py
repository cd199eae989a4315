#!/usr/bin/env python
"""Seconds an answer takes alone, beside a program that keeps one core busy, and two at a time.

    python scripts/bench_shared.py INDEX [--questions 8]

`ragvis eval --answers` asks the questions of tests/demo_questions.jsonl that bring no photo. Once
as the command is, and once as it was before it told GNU OpenMP how long to spin: OpenMP's own
300,000 times. The index is one of the demo collection: `ragvis index indexes/demo-collection -i
INDEX`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RAGVIS = [sys.executable, "-m", "ragvis"]
WAITS = {"as it is": {}, "OpenMP's default": {"GOMP_SPINCOUNT": "300000"}}


def answered(questions: Path, index: str, wait: dict[str, str]) -> float:
    """Mean seconds of an answer."""
    command = [*RAGVIS, "eval", str(questions), "--answers", "--json", "-i", index]
    done = subprocess.run(command, env={**os.environ, **wait}, capture_output=True, check=False)
    if done.returncode:
        sys.exit(done.stderr.decode())
    found: float = json.loads(done.stdout)["measures"]["answers.seconds"]["value"]
    return found


def beside_a_busy_core(work: Callable[[], float]) -> float:
    """While another process does nothing but count."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return work()
    finally:
        other.kill()
        other.wait()


def two_at_a_time(work: Callable[[], float]) -> float:
    """The slower one's."""
    with ThreadPoolExecutor(2) as pool:
        return max(pool.map(lambda _: work(), range(2)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("index")
    parser.add_argument("--questions", type=int, default=8)
    wanted = parser.parse_args()
    lines = (ROOT / "tests" / "demo_questions.jsonl").read_text("utf-8").splitlines()
    asked = [line for line in lines if not json.loads(line).get("images")]
    print(f"{platform.platform()}, {os.cpu_count()} cores, {date.today()}; seconds an answer\n")
    print(f"{'threads wait':20}{'alone':>8}{'busy core':>12}{'two':>8}")
    with tempfile.TemporaryDirectory() as folder:
        questions = Path(folder) / "questions.jsonl"
        questions.write_text("\n".join(asked[: wanted.questions]) + "\n", "utf-8")
        for name, wait in WAITS.items():
            work = partial(answered, questions, wanted.index, wait)
            print(
                f"{name:20}{work():8.2f}{beside_a_busy_core(work):12.2f}{two_at_a_time(work):8.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
