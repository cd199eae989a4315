"""Small collections and what is done to them: the operations that are killed and failed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from machine import Ended, Machine
from oracle import State, require_equal, require_sound, state
from PIL import Image


@dataclass
class Scene:
    """An operation: the index before it, the files as they are by then, and the command.

    The index is copied for every case, the files are shared.
    """

    machine: Machine
    place: Path
    name: str
    make: Callable[[Path], None]
    change: Callable[[Path], None] | None = None
    inverted_from: int = 100_000

    @property
    def files(self) -> Path:
        """What is indexed."""
        return self.place / self.name / "files"

    @cached_property
    def start(self) -> Path:
        """The index before the operation; a folder that is not there for a first build."""
        index = self.place / self.name / "before"
        self.files.mkdir(parents=True)
        self.make(self.files)
        if self.change is not None:
            assert self.run("index", self.files, "-i", index, "--encoder", "pocket").code == 0
            self.change(self.files)
        return index

    @cached_property
    def before(self) -> State:
        """The state before the operation."""
        return state(self.start)

    @cached_property
    def after(self) -> State:
        """The state after it."""
        index = self.fresh()
        assert self.act(index).code == 0
        require_sound(index)
        return state(index)

    @property
    def more(self) -> dict[str, object]:
        """What every command of this scene is run with."""
        return {"inverted_from": self.inverted_from}

    def command(self, index: Path) -> tuple[str | Path, ...]:
        """The operation's command."""
        return ("index", self.files, "-i", index, "--encoder", "pocket", "--json")

    def run(self, *arguments: str | Path) -> Ended:
        """Any command, under the scene's settings."""
        return self.machine.run(*arguments, **self.more)

    def act(self, index: Path) -> Ended:
        """The operation, undisturbed."""
        return self.run(*self.command(index))

    def fresh(self) -> Path:
        """A copy of the index before the operation."""
        index = self.place / self.name / "index"
        shutil.rmtree(index, ignore_errors=True)
        if self.start.exists():
            shutil.copytree(self.start, index)
        return index

    def require_goes_on(self, index: Path) -> None:
        """The next run brings it to the end, and embeds only what was not committed."""
        left = state(index)
        ended = self.act(index)
        assert ended.code == 0, ended.err
        require_equal(state(index), self.after)
        require_sound(index)
        report = ended.json()
        known = {own[0] for own in left.values()}
        missing = [own for own in self.after.values() if own[0] not in known]
        allowed = sum(len(own[2]) for own in missing)
        read = report["passages"] + report["images"]
        assert read <= allowed, f"{read} items were read again, {allowed} were missing"


def _note(file: Path, *paragraphs: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("# " + file.stem + "\n\n" + "\n\n".join(paragraphs) + "\n")


def build(files: Path) -> None:
    """Text, pictures, an equal pair, and a file that cannot be read."""
    _note(
        files / "pump.md", "The pump runs at twelve volts.", "## Care", "Clean the filter monthly."
    )
    _note(files / "lamp.md", "The lamp gives forty candles of light.")
    shutil.copy(files / "lamp.md", files / "spare lamp.md")
    Image.new("RGB", (64, 48), "red").save(files / "red.png")
    Image.new("RGB", (64, 48), "blue").save(files / "blue.jpg")
    (files / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")


def update(files: Path) -> None:
    """One file of each fate: changed, new, touched, moved, gone, mended."""
    _note(files / "pump.md", "The pump runs at twenty volts.", "## Care", "Clean it every week.")
    _note(files / "saw.md", "The saw cuts wood and soft metal.")
    os.utime(files / "lamp.md", (1, 1))
    (files / "red.png").rename(files / "crimson.png")
    (files / "blue.jpg").unlink()
    Image.new("RGB", (32, 32), "green").save(files / "torn.jpg")


def many(files: Path) -> None:
    """Enough small notes for several segments."""
    for i in range(14):
        _note(files / f"note {i}.md", f"Note number {i} says {i * i}.")


def delete(files: Path) -> None:
    """Most of them go: what is left of the segment has to be written anew."""
    for i in range(10):
        (files / f"note {i}.md").unlink()
