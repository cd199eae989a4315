"""The index follows its files."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ragvis.index import Index
from ragvis.store.lock import writer_lock

WATCHING = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
sys.path.insert(0, sys.argv[1])
from conftest import WordEncoder
from ragvis import encoder as encoders
from ragvis.cli import main
encoders.load = lambda name, tell: WordEncoder()
main(["index", sys.argv[2], "-i", sys.argv[3], "--encoder", "words", "--watch"])
"""


def test_changes_are_followed_until_ctrl_c(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("the first note")
    tests = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHING, tests, str(files), str(files / "index")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1 new")
    process.stdout.readline()
    (files / "b.txt").write_text("the second note")  # beside the index that is being written
    assert process.stdout.readline().startswith("1 new, 0 changed, 1 unchanged")
    process.stdout.readline()  # passages
    (files / "b.txt").rename(files / "c.txt")
    assert "1 moved" in process.stdout.readline()
    (files / "a.txt").unlink()
    assert process.stdout.readline().strip().endswith("1 removed")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "ragvis: interrupted; what was committed is kept"
    with Index.open(files / "index") as index:
        assert index.status().files == 1


def test_another_writer_is_waited_for(tmp_path: Path, make_index: Callable[..., Index]) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "a.txt").write_text("the first note")
    index = make_index()
    told: list[str] = []
    locked, waited = threading.Event(), threading.Event()
    index._tell = lambda line: (told.append(line), waited.set())[0]
    reports = index.watch([files])
    assert next(reports).added == 1

    def write_beside() -> None:
        with writer_lock(index.path):
            locked.set()
            (files / "b.txt").write_text("the second note")
            waited.wait(30)

    other = threading.Thread(target=write_beside)
    other.start()
    locked.wait()
    assert next(reports).added == 1
    other.join()
    assert "trying again" in told[0]
