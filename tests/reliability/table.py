"""All reliability checks, as a table: ``scripts/reliability [--every N] [ROW …]``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile import Hostile
from machine import STRACE, Machine
from rows import Case, Rows

from ragvis import config

Row = tuple[str, str, Callable[[], Iterator[Case]]]  # (number, what it is, its cases)


def all_rows(rows: Rows, hostile: Hostile) -> list[Row]:
    """Every row by its number in the project's list of checks."""
    return [
        ("1", "killed in a first build", lambda: rows.killed(rows.build)),
        ("2", "killed in an update", lambda: rows.killed(rows.update)),
        ("3", "killed in a delete and compaction", lambda: rows.killed(rows.delete)),
        ("3", "the same, inverted files", lambda: rows.killed(rows.large)),
        ("4", "disk full at a write, first build", lambda: rows.refused(rows.build)),
        ("4", "disk full at a write, update", lambda: rows.refused(rows.update)),
        ("4", "I/O error at a write, delete", lambda: rows.refused(rows.delete, "EIO")),
        ("5", "a full file system", lambda: rows.full_disk()),
        ("6", "I/O error at a read", lambda: rows.unreadable()),
        ("8", "8 readers beside a writer", lambda: rows.beside()),
        ("9", "two writers", lambda: rows.two_writers()),
        ("10", "a flipped bit", lambda: rows.flipped()),
        ("11", "a truncated file", lambda: rows.truncated()),
        ("12", "missing, swapped, extra, older files", lambda: rows.misplaced()),
        ("14", "Pillow's test images", lambda: hostile.pillow()),
        ("15", "PngSuite", lambda: hostile.png_suite()),
        ("16", "mutated pictures", lambda: hostile.mutated()),
        ("17", "picture bombs", lambda: hostile.bombs()),
        ("18", "EXIF orientations", lambda: hostile.orientations()),
        ("19", "animations and disguises", lambda: hostile.disguised()),
        ("20", "PDFs of pypdf's and pikepdf's tests", lambda: hostile.pdfs()),
        ("23", "links, pipes, devices, vanishing files", lambda: hostile.trees()),
    ]


def can_run(number: str) -> str | None:
    """Why a row cannot be run here, or None."""
    if int(number) <= 9 and STRACE is None:
        return "needs strace (Debian: apt-get install strace)"
    if number == "5" and os.geteuid() != 0:
        return "needs root, to mount a small tmpfs"
    return None


def check(cases: Iterator[Case]) -> tuple[int, list[str]]:
    """How many cases there were, and what those said that failed."""
    total, failures = 0, []
    for name, case in cases:
        total += 1
        try:
            case()
        except Exception as error:  # noqa: BLE001 - whatever it is, the row has failed
            failures.append(f"{name}: {type(error).__name__}: {str(error)[:600]}")
    return total, failures


def main() -> int:
    """Print the table; 1 where a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every Nth case")
    parser.add_argument("rows", nargs="*", help="row numbers; all where none is given")
    asked = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(f"{'row':4}{'check':42}{'cases':>7}{'passed':>8}{'seconds':>9}")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="reliability-") as scratch:
        machine = Machine(Path(scratch))
        rows = Rows(machine, Path(scratch), asked.every)
        hostile = Hostile(machine, Path(scratch), config.cache_dir(), asked.every)
        for number, what, cases in all_rows(rows, hostile):
            if asked.rows and number not in asked.rows:
                continue
            if reason := can_run(number):
                print(f"{number:4}{what:42}  {reason}")
                continue
            started = time.monotonic()
            total, failures = check(cases())
            spent = time.monotonic() - started
            print(f"{number:4}{what:42}{total:7}{total - len(failures):8}{spent:9.1f}", flush=True)
            for failure in failures[:5]:
                print(f"      {failure}", file=sys.stderr)
            failed += len(failures)
        machine.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
