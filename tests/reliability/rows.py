"""The reliability checks, row by row: each yields named cases that raise where they fail."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from machine import Ended, Machine
from oracle import require_between, require_equal, require_sound, state
from scenes import Scene, build, delete, many, update

Case = tuple[str, Callable[[], None]]
READS = "pread64,read"


class Rows:
    """All rows over one warm process.

    Args:
        place: a folder to work in.
        every: take every so-manieth case of a row that has many; 1 takes all.
    """

    def __init__(self, machine: Machine, place: Path, every: int = 1) -> None:
        self.machine = machine
        self.place = place
        self.every = every
        self.build = Scene(machine, place, "build", build)
        self.update = Scene(machine, place, "update", build, update)
        self.delete = Scene(machine, place, "delete", many, delete)
        self.large = Scene(machine, place, "large", many, delete, inverted_from=4)

    # --- 1-3: killed -----------------------------------------------------------------------

    def killed(self, scene: Scene) -> Iterator[Case]:
        """SIGKILL at every write, fsync, rename and unlink of an operation."""
        for call, number in self._points(scene):
            yield f"{scene.name}, {call} {number}", lambda c=call, n=number: self._kill(scene, c, n)

    def _points(self, scene: Scene) -> list[tuple[str, int]]:
        scene.after  # noqa: B018 - made before anything is disturbed
        counted = self.machine.calls(*scene.command(scene.fresh()), **scene.more)
        points = [(call, n) for call, total in counted.items() for n in range(1, total + 1)]
        return points[:: self.every]

    def _kill(self, scene: Scene, call: str, number: int) -> None:
        index = scene.fresh()
        how = f"signal=KILL:when={number}"
        ended = self.machine.tampered(*scene.command(index), calls=call, how=how, **scene.more)
        assert ended.code in (-signal.SIGKILL, 0), ended  # 0: one call fewer than when counted
        require_between(state(index), scene.before, scene.after)
        require_sound(index)
        scene.require_goes_on(index)

    # --- 4-6: a disk that refuses ----------------------------------------------------------

    def refused(self, scene: Scene, error: str = "ENOSPC") -> Iterator[Case]:
        """Each write and fsync fails once, and from there on always."""
        points = [p for p in self._points(scene) if not p[0].startswith(("unlink", "rename"))]
        for call, number in points:
            for last in ("", "+"):
                how = f"error={error}:when={number}{last}"
                name = f"{scene.name}, {call} {number}{last}"
                yield name, lambda c=call, h=how: self._refuse(scene, c, h)

    def _refuse(self, scene: Scene, call: str, how: str) -> None:
        index = scene.fresh()
        ended = self.machine.tampered(*scene.command(index), calls=call, how=how, **scene.more)
        # Where every write fails from here on, stderr's do too.
        require_told(ended, {0, 1}, speechless=call == "write" and how.endswith("+"))
        require_between(state(index), scene.before, scene.after)
        require_sound(index)
        scene.require_goes_on(index)

    def full_disk(self) -> Iterator[Case]:
        """A file system of the size given, really full."""
        for size in (24, 64, 96, 128, 192, 256, 320, 400, 512):
            yield f"{size} KiB", lambda s=size: self._fill(s)

    def _fill(self, size: int) -> None:
        scene = self.build
        wanted = scene.after
        with small_disk(self.place / "disk", size) as disk:
            ended = self.machine.run(*scene.command(disk / "index"))
            require_told(ended, {0, 1})
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            require_between(state(disk / "index"), {}, wanted)
            require_sound(disk / "index")
            assert self.machine.run(*scene.command(disk / "index")).code == 0
            require_equal(state(disk / "index"), wanted)

    def unreadable(self) -> Iterator[Case]:
        """EIO at each read while an index is opened, verified and searched."""
        index = self._whole(self.large)
        for command in (("status", "--verify"), ("search", "square", "--json")):
            counted = self.machine.calls(*command, "-i", index, calls=READS)
            points = [(c, n) for c, total in counted.items() for n in range(1, total + 1)]
            for call, number in points[:: self.every]:
                how = f"error=EIO:when={number}"
                yield (
                    f"{command[0]}, {call} {number}",
                    lambda c=command, k=call, h=how: self._misread(c, index, k, h),
                )

    def _misread(self, command: tuple[str, ...], index: Path, call: str, how: str) -> None:
        true = self.machine.run(*command, "-i", index).out
        ended = self.machine.tampered(*command, "-i", index, calls=call, how=how)
        require_told(ended, {0, 1, 4, 6})
        assert ended.code or command[0] != "search" or hits(ended.out) == hits(true)

    # --- 8, 9: others beside ---------------------------------------------------------------

    def beside(self) -> Iterator[Case]:
        """Eight readers beside a writer: each answer is of one commit."""
        yield f"{200 // self.every} commits", lambda: self._read_beside(200 // self.every)

    def _read_beside(self, commits: int) -> None:
        files, index, stop = (self.place / "beside" / n for n in ("files", "index", "stop"))
        files.mkdir(parents=True)
        note = files / "state.md"
        for number in range(commits):
            parts = [f"# Part {p}\n\nState {number} holds in part {p}.\n\n" for p in range(3)]
            (files / "new").write_text("".join(parts))
            (files / "new").rename(note)
            assert self.machine.run("index", files, "-i", index, "--encoder", "pocket").code == 0
            if number == 0:
                read = {"index": str(index), "stop": str(stop)}
                readers = [self.machine.start(read=read) for _ in range(8)]
        stop.touch()
        seen = []
        for reader in readers:
            ended = self.machine.end(*reader)
            assert ended.code == 0, ended
            seen.append(int(ended.out))
        assert max(seen) > 1, "no reader saw the index change"
        require_sound(index)

    def two_writers(self) -> Iterator[Case]:
        """The second is refused by name; the lock of a dead one is free."""
        yield "second refused, dead one's lock free", self._lock_twice

    def _lock_twice(self) -> None:
        scene = self.build
        index = scene.fresh()
        scene.after  # noqa: B018
        first = self.machine.start(*scene.command(scene.fresh()))
        while not (index / "writer.json").exists():
            os.sched_yield()
        os.kill(first[0], signal.SIGSTOP)
        second = scene.act(index)
        assert second.code == 7 and f"process {first[0]}" in second.err, second
        os.kill(first[0], signal.SIGKILL)
        self.machine.end(*first)
        scene.require_goes_on(index)

    # --- 10-12: damage ---------------------------------------------------------------------

    def flipped(self) -> Iterator[Case]:
        """One bit of one file is wrong."""
        index = self._whole(self.large)
        files = parts_of(index)
        pick = random.Random(10)
        for _ in range(1000 // self.every):
            file = pick.choices(files, [f.stat().st_size for f in files])[0]
            bit = pick.randrange(8 * file.stat().st_size)
            yield (
                f"{file.suffix} bit {bit}",
                lambda f=file, b=bit: self._damage(index, f, lambda data: flip(data, b)),
            )

    def truncated(self) -> Iterator[Case]:
        """A file ends early."""
        index = self._whole(self.large)
        files = parts_of(index)
        pick = random.Random(11)
        for i in range(200 // self.every):
            file = files[i % len(files)]
            size = pick.randrange(file.stat().st_size)
            yield (
                f"{file.suffix} at {size}",
                lambda f=file, s=size: self._damage(index, f, lambda data: data[:s]),
            )

    def misplaced(self) -> Iterator[Case]:
        """Files are missing, swapped, extra, or from an older state of the index."""
        index = self._whole(self.large)
        rows = sorted(index.glob("*.rows"))
        for file in parts_of(index):
            if file.suffix != ".db":
                yield (
                    f"missing {file.suffix}",
                    lambda f=file: self._damage(index, f, lambda _: None),
                )
        yield (
            "missing catalog",
            lambda: self._damage(index, index / "catalog.db", lambda _: None, codes={4}),
        )
        other = self._whole(self.update)
        for file in sorted(other.glob("*.rows")):
            yield (
                f"another index's {file.name}",
                lambda f=file: self._damage(index, rows[0], lambda _: f.read_bytes()),
            )
        yield "extra files", lambda: self._extra(index)
        yield "an older catalog", self._older

    def _extra(self, index: Path) -> None:
        for name in ("text-0-9-9.rows", "x.faiss", "notes.txt", "catalog.part"):
            (index / name).write_bytes(b"not of this index")
        assert self.machine.run("status", "--verify", "-i", index).code == 0

    def _older(self) -> None:
        """A restored backup of the catalog alone: its segments are gone, its state is served."""
        scene = self.delete
        index = self._whole(scene)
        shutil.copy(scene.start / "catalog.db", index / "catalog.db")
        ended = self.machine.run("search", "note", "-i", index, "--json")
        assert ended.code == 0 and "rebuilt from the catalog" in ended.err, ended
        require_equal(state(index), scene.before)
        scene.require_goes_on(index)

    def _whole(self, scene: Scene) -> Path:
        scene.after  # noqa: B018
        index = scene.fresh()
        assert scene.act(index).code == 0
        kept = self.place / f"{scene.name}-whole"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(index, kept)
        return kept

    def _damage(
        self,
        index: Path,
        file: Path,
        change: Callable[[bytes], bytes | None],
        codes: frozenset[int] | set[int] = frozenset({6}),
    ) -> None:
        """Verification notices; a search is right or refuses; the next run mends what it can."""
        work = index.with_name("work")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(index, work)
        search = ("search", "square", "--json", "-i")
        true = hits(self.machine.run(*search, work).out)
        part, bad = work / file.name, change(file.read_bytes())
        part.unlink() if bad is None else part.write_bytes(bad)
        verified = self.machine.run("status", "--verify", "-i", work)
        require_told(verified, codes)
        assert file.name in verified.out + verified.err or 4 in codes, verified
        searched = self.machine.run(*search, work)
        require_told(searched, codes | {0})
        assert searched.code or hits(searched.out) == true, searched
        if file.suffix != ".db":
            mended = self.machine.run("index", self.large.files, "-i", work)
            assert mended.code == 0, mended
            require_sound(work)


def require_told(ended: Ended, codes: set[int] | frozenset[int], speechless: bool = False) -> None:
    """Ended with one of the codes, and an error as one line that is ours."""
    assert ended.code in codes, ended
    assert "Traceback" not in ended.err and "internal error" not in ended.err, ended
    if ended.code:
        errors = [line for line in ended.said if "rebuilt from the catalog" not in line]
        assert len(errors) == 1 or "damaged" in ended.out or speechless, ended
        assert all(line.startswith("ragvis: ") for line in ended.said), ended


def hits(out: str) -> list[tuple[str, float]]:
    """What was found, and how sure."""
    found = json.loads(out)["hits"] if out else []
    return [(hit["path"], round(hit["score"], 2)) for hit in found]


def parts_of(index: Path) -> list[Path]:
    """The files that hold something."""
    return sorted(f for f in index.iterdir() if f.suffix in (".db", ".rows", ".faiss"))


def flip(data: bytes, bit: int) -> bytes:
    """The data with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@contextmanager
def small_disk(place: Path, kib: int) -> Iterator[Path]:
    """A file system in memory of so many KiB; root may make one."""
    place.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield place
    finally:
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(place)], check=True)
