"""Files are read by processes that may crash, hang or fall behind, and nothing else does."""

from __future__ import annotations

import os
import queue
from pathlib import Path

import pytest
from PIL import Image

from ragvis.documents import readers
from ragvis.documents.child import Message
from ragvis.documents.readers import Readers
from ragvis.errors import BadFile
from ragvis.media.fit import Fit

FIT = Fit(8, 8)


def read_all(paths: list[Path], most: int = 2) -> list[list[Message]]:
    with Readers(FIT, most) as pool:
        return [[(h, bytes(p)) for h, p in messages] for _, messages in pool.read(paths, str)]


def test_files_come_in_order_whoever_read_them(tmp_path: Path) -> None:
    paths = []
    for i in range(40):
        paths.append(tmp_path / f"{i}.txt")
        paths[-1].write_text(f"number {i} " * (500 if i % 7 == 0 else 1))
    found = read_all(paths)
    assert [m[0][0]["pages"][0][1].split()[1] for m in found] == [str(i) for i in range(40)]
    assert all(m[-1][0]["kind"] == "end" for m in found)


def test_pictures_come_fitted(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.png")
    ((picture, _),) = read_all([tmp_path / "a.png"])
    assert picture[1] == bytes((255, 0, 0)) * 64
    assert picture[0]["bytes"] == 8 * 8 * 3


def test_memory_for_pixels_is_used_again(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(60)]
    for n, path in enumerate(paths):
        Image.new("RGB", (8, 8), (4 * n, 0, 0)).save(path)
    kept: list[bytes | bytearray] = []  # so that no two have one address in turn
    with Readers(FIT, 2) as pool:
        for n, (_, messages) in enumerate(pool.read(paths, str)):
            for header, pixels in messages:
                if header["kind"] == "picture":
                    assert pixels == bytes((4 * n, 0, 0)) * 64
                    kept.append(pixels)
    assert len(kept) == 60 and len({id(pixels) for pixels in kept}) < 20


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(readers, "_MODULE", "hostile_child")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(readers, "SECONDS", 1.0)
    for name in ("crash", "hang", "quit", "devour", "print", "good", "one", "two", "three"):
        for suffix in ("txt", "png"):  # behind a picture another file waits with its reader
            (tmp_path / f"{name}.{suffix}").write_text(name)
    return tmp_path


@pytest.mark.parametrize("suffix", ["txt", "png"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash", "SIGSEGV"),
        ("hang", "took over 1 s"),
        ("quit", "exit code 9"),
        ("devour", "over 6 GiB of memory"),
    ],
)
def test_a_reader_that_dies_costs_its_own_file_alone(
    hostile: Path, name: str, reason: str, suffix: str
) -> None:
    order = ["one", name, "two", "three", name, name, "good"]
    found = read_all([hostile / f"{stem}.{suffix}" for stem in order], most=1)
    for stem, messages in zip(order, found, strict=True):
        if stem == name:
            assert messages[-1][0]["kind"] == "bad" and reason in messages[-1][0]["reason"]
        else:
            (text, _), (end, _) = messages
            assert text["pages"][0][1] == stem and end["kind"] == "end"


@pytest.mark.parametrize(("suffix", "ahead"), [("png", True), ("txt", False), ("tif", False)])
def test_behind_a_picture_the_next_file_is_asked_for(
    hostile: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, ahead: bool
) -> None:
    (hostile / "good.tif").write_text("good")
    happened = list[str]()
    answer = readers._Child.answer
    monkeypatch.setattr(
        readers._Child, "answer", lambda *a: (happened.append("answer"), answer(*a))[1]
    )

    def wanted(job: Path) -> str:
        happened.append(job.stem)
        return str(job)

    pool = Readers(FIT, 1)
    read = pool.read([hostile / f"good.{suffix}", hostile / "one.txt"], wanted)
    _, first = next(read)  # both jobs are there before a reader looks for one
    with pool:
        assert [m[0]["kind"] for m in first] == ["text", "end"]
        assert next(iter(next(read)[1]))[0]["pages"][0][1] == "one"
    order = ["good", "one", "answer", "answer"]
    assert happened == (order if ahead else ["good", "answer", "one", "answer"])


def test_a_file_that_an_idle_reader_is_there_for_is_left_to_it() -> None:
    pool = Readers(FIT, 2)
    job: readers._Job = (lambda: None, queue.SimpleQueue())
    pool._jobs.put(job)
    pool._idle = 1
    assert pool._one_more() is None
    pool._jobs.put(job)
    assert pool._one_more() is job
    pool._idle = 0
    assert pool._one_more() is job and pool._one_more() is None


def test_a_reader_that_died_idle_costs_no_file(hostile: Path) -> None:
    with Readers(FIT, 1) as pool:
        good = [hostile / "good.png"]
        (before,) = [list(m) for _, m in pool.read(good, str)]
        pool._children[0]._process.kill()  # type: ignore[union-attr]
        pool._children[0]._process.wait()  # type: ignore[union-attr]
        assert [list(m) for _, m in pool.read(good, str)] == [before]


def test_a_parser_that_prints_does_not_get_between_the_messages(hostile: Path) -> None:
    ((text, end),) = read_all([hostile / "print.txt"])
    assert (text[0]["pages"][0][1], end[0]["kind"]) == ("print", "end")


def test_what_need_not_be_read_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers.subprocess, "Popen", None)
    with Readers(FIT) as pool:
        assert [list(m) for _, m in pool.read(range(5), lambda _: None)] == [[]] * 5


def test_an_error_before_the_reading_reaches_its_own_job(tmp_path: Path) -> None:
    def wanted(number: int) -> None:
        if number == 1:
            raise BadFile("Permission denied")

    with Readers(FIT) as pool:
        jobs = pool.read(range(3), wanted)
        assert list(next(jobs)[1]) == []
        with pytest.raises(BadFile):
            list(next(jobs)[1])
        assert list(next(jobs)[1]) == []


def test_leaving_early_leaves_no_process_behind(hostile: Path) -> None:
    with Readers(FIT, 1) as pool:
        jobs = pool.read([hostile / "good.txt", hostile / "hang.txt"], str)
        list(next(jobs)[1])
        pid = pool._children[0]._process.pid  # type: ignore[union-attr]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
