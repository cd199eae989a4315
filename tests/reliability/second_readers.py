"""Other projects' test files, read by ragvis and by second, independent readers.

``scripts/reliability readers [--kind KIND] [--every N] [--json FILE] [--against FILE]``
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus import Entry, entries
from inputs import CACHE
from second_child import OF_KIND, SIDE, missing, version
from word_difference import Difference, compare, without_numbers

from ragvis import config
from ragvis.documents.child import Message
from ragvis.documents.readers import Readers
from ragvis.media.fit import Fit

SECONDS = 60.0  # that a second reader may take for a file
LATE = f"it ended or took over {SECONDS:.0f} s"
LEAST = 300  # files that a run over everything reads
AT_ONCE = 2  # processes
NUMBERED = {"docx", "html"}  # kinds with lists whose numbers not every reader writes
FIT = Fit(SIDE, SIDE, "squash")


@dataclass(slots=True)
class Reading:
    """What one reader found: ``error`` says why it found nothing."""

    text: str = ""
    elsewhere: str = ""  # title, metadata and captions
    error: str | None = None
    size: str = ""  # of a picture
    pixels: bytes = b""


@dataclass(slots=True)
class Row:
    """One file by one second reader. ``state`` is both, ours-bad, theirs-bad or bad."""

    kind: str
    source: str
    name: str
    path: str
    reader: str
    state: str
    ours_error: str | None
    theirs_error: str | None
    difference: Difference
    note: str = ""


@dataclass(slots=True)
class Report:
    """All rows of a run, what was not there to be read, and how long it took."""

    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def ours(files: list[Entry]) -> Iterator[tuple[Entry, Reading]]:
    """Each file as ragvis reads it, in its reading processes."""
    with Readers(FIT, AT_ONCE) as pool:
        for entry, messages in pool.read(files, lambda e: str(e.path)):
            yield entry, _reading(messages)


def _reading(messages: Iterable[Message]) -> Reading:
    found = Reading()
    pages: list[str] = []
    aside: list[str] = []
    for header, pixels in messages:
        match header["kind"]:
            case "text":
                pages += [page[1] for page in header["pages"]]
                aside += [header["title"], *header.get("metadata", {}).values()]
            case "picture":
                aside.append(header["caption"])
                found.error = found.error or header.get("error")
                found.pixels = found.pixels or bytes(pixels)
            case "bad":
                found.error = header["reason"]
    found.text, found.elsewhere = "\n\n".join(pages), "\n".join(aside)
    if pages:
        found.error = None  # a picture in it that cannot be decoded is no matter of words
    return found


class Second:
    """A process with the second readers, started again when a file was too much for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, entry: Entry, reader: str) -> Reading:
        """One file by one reader, within its time."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            job = {"path": str(entry.path), "reader": reader, "encoding": entry.encoding}
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            self.close()
            return Reading(error=LATE)
        answer: dict[str, Any] = json.loads(line)
        answer["pixels"] = base64.b64decode(answer.get("pixels", ""))
        return Reading(**answer)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.communicate()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("second_child.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._process


class _Kept:
    """What a second reader said of pinned files: it says the same again."""

    def __init__(self, cache: Path, reader: str) -> None:
        self._folder = cache / CACHE / "second" / reader
        self._folder.mkdir(parents=True, exist_ok=True)
        self._about = version(reader)

    def get(self, entry: Entry) -> Reading | None:
        """What it said, or None where it has not been asked."""
        file = self._file(entry)
        if not file.exists():
            return None
        answer: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return Reading(**{**answer, "pixels": base64.b64decode(answer["pixels"])})

    def put(self, entry: Entry, reading: Reading) -> Reading:
        """Keep what it says, unless that may be the fault of a busy machine."""
        if reading.error != LATE:
            pixels = base64.b64encode(reading.pixels).decode()
            self._file(entry).write_text(json.dumps({**asdict(reading), "pixels": pixels}))
        return reading

    def _file(self, entry: Entry) -> Path:
        key = f"{self._about}\n{entry.source}\n{entry.name}\n{entry.path.stat().st_size}"
        return self._folder / hashlib.sha256(key.encode()).hexdigest()


def theirs(files: list[Entry], reader: str, cache: Path) -> list[Reading]:
    """Each file as a second reader reads it, by a few processes."""
    local = threading.local()
    made: list[Second] = []
    kept = _Kept(cache, reader)

    def read(entry: Entry) -> Reading:
        if found := kept.get(entry):
            return found
        if not hasattr(local, "second"):
            local.second = Second()
            made.append(local.second)
        second: Second = local.second
        return kept.put(entry, second.read(entry, reader))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(read, files))
    for second in made:
        second.close()
    return found


def row(entry: Entry, reader: str, mine: Reading, other: Reading) -> Row:
    """The two readings of a file, compared."""
    state = {
        (False, False): "both",
        (True, False): "ours-bad",
        (False, True): "theirs-bad",
        (True, True): "bad",
    }[mine.error is not None, other.error is not None]
    if entry.kind == "picture":
        difference = pictures_compared(mine, other)
    elif entry.kind in NUMBERED:
        texts = without_numbers(mine.text), without_numbers(other.text)
        difference = compare(*texts, mine.elsewhere)
    else:
        difference = compare(mine.text, other.text, mine.elsewhere)
    about = (entry.kind, entry.source, entry.name, str(entry.path), reader, state)
    note = other.size or (entry.encoding or "")
    return Row(*about, mine.error, other.error, difference, note)


def pictures_compared(mine: Reading, other: Reading) -> Difference:
    """Decoded or not counts as one word; ``order`` is how like the small pictures are, 0 to 1."""
    have, has = int(bool(mine.pixels)), int(bool(other.pixels))
    alike = 1.0
    if have and has:
        apart = sum(abs(a - b) for a, b in zip(mine.pixels, other.pixels, strict=True))
        alike = 1 - apart / (255 * len(mine.pixels))
    return Difference(have, has, max(0, has - have), max(0, have - has), 0, 0, alike, ((), (), ()))


def run(kinds: set[str], every: int, cache: Path) -> Report:
    """Read the corpus' files of some kinds with everything that reads them."""
    report = Report()
    files = list(entries(cache, kinds, report.skipped))[::every]
    for kind in sorted(kinds, key=list(OF_KIND).index):
        some = [e for e in files if e.kind == kind]
        started = time.monotonic()
        mine = [reading for _, reading in ours(some)]
        report.seconds[f"{kind} ours"] = time.monotonic() - started
        for reader in OF_KIND[kind]:
            if reason := missing(reader):
                report.skipped[reader] = reason
                continue
            started = time.monotonic()
            others = theirs(some, reader, cache)
            report.seconds[f"{kind} {reader}"] = time.monotonic() - started
            report.rows += map(row, some, [reader] * len(some), mine, others)
    return report


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; 1 where too few files were there to be read."""
    from second_report import print_changes, print_report

    parser = argparse.ArgumentParser(prog="scripts/reliability readers", description=__doc__)
    parser.add_argument("--kind", action="append", choices=list(OF_KIND), help="all by default")
    parser.add_argument("--every", type=int, default=1, help="take every Nth file")
    parser.add_argument("--worst", type=int, default=20, help="rows for each kind and reader")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    parser.add_argument("--against", type=Path, help="a file of an earlier --json, to compare with")
    asked = parser.parse_args(arguments)
    report = run(set(asked.kind or OF_KIND), asked.every, config.cache_dir())
    print_report(report, asked.worst)
    if asked.json:
        asked.json.write_text(json.dumps(asdict(report), indent=1, ensure_ascii=False), "utf-8")
    if asked.against:
        print_changes(json.loads(asked.against.read_text("utf-8")), asdict(report))
    return few(report) if asked.kind is None and asked.every == 1 else 0


def few(report: Report) -> int:
    """1, and a line that says so, where the sources that could be fetched hold too few files."""
    read = len({r.path for r in report.rows if r.state != "bad"})
    if read < LEAST:
        print(f"only {read} files could be read; {LEAST} are wanted", file=sys.stderr)
    return int(read < LEAST)


if __name__ == "__main__":
    sys.exit(main())
