"""Rows 14-20 and 23: files that readers stumble over, and folders that are no plain trees."""

from __future__ import annotations

import io
import os
import random
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import inputs
from machine import Machine
from oracle import State, require_sound, state
from PIL import Image
from rows import Case, require_told

from ragvis.documents import SUFFIXES
from ragvis.media.images import FORMATS

Check = Callable[[Path, list[Any], str | None], None]  # (file, its items, its error)

DEMO = Path(__file__).resolve().parents[2] / "indexes" / "demo-collection" / "images"


class Hostile:
    """Folders of files, each indexed in one run."""

    def __init__(self, machine: Machine, place: Path, cache: Path, every: int = 1) -> None:
        self.machine = machine
        self.place = place
        self.cache = cache
        self.every = every

    def _folder(self, name: str) -> Path:
        folder = self.place / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def _copied(self, name: str, files: list[Path], only: frozenset[str] = SUFFIXES) -> Path:
        folder = self._folder(name)
        for i, file in enumerate(files[:: self.every]):
            if file.suffix.lower() in only:
                shutil.copyfile(file, folder / f"{i}-{file.name}")
        return folder

    def _index(self, folder: Path) -> State:
        """Index a folder in one run that does not fall over; what it says of each file."""
        index = folder.with_name(folder.name + "-index")
        shutil.rmtree(index, ignore_errors=True)
        command = ("index", folder, "-i", index, "--encoder", "pocket", "--json")
        ended = self.machine.run(*command)
        require_told(ended, {0})
        require_sound(index)
        return state(index)

    def _each(self, folder: Path, check: Check) -> Iterator[Case]:
        """One run over a folder, then each of its files by itself."""
        found: State = {}
        yield "one run", lambda: found.update(self._index(folder))
        for file in sorted(f for f in folder.iterdir() if f.is_file()):
            yield file.name, lambda f=file: settled(f, found, check)

    def pillow(self) -> Iterator[Case]:
        """Pillow's own test images, those of formats that are read."""
        folder = self._copied("pillow", inputs.pillow_images(self.cache))
        yield from self._each(folder, read_where_pillow_reads)

    def png_suite(self) -> Iterator[Case]:
        """PngSuite: every one of them is a valid picture."""
        folder = self._folder("pngsuite")
        inputs.png_suite(self.cache, folder)
        yield from self._each(folder, read_where_pillow_reads)

    def mutated(self) -> Iterator[Case]:
        """Good pictures with some bytes changed, cut or repeated."""
        folder = self._folder("mutated")
        pick = random.Random(16)
        sources = sorted(DEMO.glob("*.jpg"))
        for i in range(600 // self.every):
            kind = pick.choice(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
            data = mutated(small_picture(pick.choice(sources), kind), pick)
            (folder / f"{i}.{kind.lower()}").write_bytes(data)
        yield from self._each(folder, anything)

    def bombs(self) -> Iterator[Case]:
        """Small files that unpack to gigabytes are refused."""
        folder = self._folder("bombs")
        (folder / "a.png").write_bytes(png_of_zeros(60_000, 60_000))
        (folder / "b.png").write_bytes(png_of_zeros(2_000_000_000, 1))
        Image.new("1", (30_000, 30_000)).save(folder / "c.tif", compression="group4")
        Image.new("P", (20_000, 20_000)).save(folder / "d.gif")
        yield from self._each(folder, refused)

    def orientations(self) -> Iterator[Case]:
        """The eight EXIF orientations of one photograph are one picture."""
        folder = self._folder("exif")
        with Image.open(DEMO / "photo-chelsea.jpg") as photo:
            upright = photo.convert("RGB")
        turn = Image.Transpose
        undo = {
            2: turn.FLIP_LEFT_RIGHT,
            3: turn.ROTATE_180,
            4: turn.FLIP_TOP_BOTTOM,
            5: turn.TRANSPOSE,
            6: turn.ROTATE_90,
            7: turn.TRANSVERSE,
            8: turn.ROTATE_270,
        }
        upright.save(folder / "1.png")
        for number, how in undo.items():
            exif = Image.Exif()
            exif[0x0112] = number
            upright.transpose(how).save(folder / f"{number}.png", exif=exif)
        found = self._index(folder)
        wanted = found[str(folder / "1.png")][2]
        for file in sorted(folder.iterdir()):
            yield f"orientation {file.stem}", lambda f=file: equal(found[str(f)][2], wanted)

    def disguised(self) -> Iterator[Case]:
        """Animations, and files that are not what their names say."""
        folder = self._folder("disguised")
        frames = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue")]
        for kind in ("gif", "webp", "png", "tiff"):
            frames[0].save(folder / f"animated.{kind}", save_all=True, append_images=frames[1:])
        frames[0].save(folder / "png as.jpg", "PNG")
        frames[0].save(folder / "jpeg as.gif", "JPEG")
        (folder / "text as.png").write_text("no picture at all")
        (folder / "html as.pdf").write_text("<html><body>no PDF</body></html>")
        shutil.copyfile(folder / "png as.jpg", folder / "png as.txt")
        shutil.copyfile(folder / "png as.jpg", folder / "png as.docx")
        (folder / "empty.png").touch()
        wrong = {"text as.png", "html as.pdf", "png as.txt", "png as.docx", "empty.png"}
        frames_of = {"animated.tiff": 3}

        def told_apart(file: Path, items: list[Any], error: str | None) -> None:
            assert (error is not None) == (file.name in wrong), (file, error)
            assert error is not None or len(items) == frames_of.get(file.name, 1), file

        yield from self._each(folder, told_apart)

    def pdfs(self) -> Iterator[Case]:
        """Malformed, encrypted and exploding PDFs of two libraries' tests."""
        folder = self._copied("pdfs", inputs.pdfs(self.cache))
        yield from self._each(folder, anything)

    def trees(self) -> Iterator[Case]:
        """Links in circles and out of the tree, pipes, sockets, devices, files that vanish."""
        yield "links, pipes and devices", self._odd_tree
        yield "files that vanish meanwhile", self._vanishing

    def _odd_tree(self) -> None:
        folder = self._folder("odd")
        outside = self._folder("outside")
        (outside / "secret.txt").write_text("not yours")
        (folder / "plain.txt").write_text("a plain file")
        (folder / "loop").symlink_to(folder)
        (folder / "self").symlink_to(folder / "self")
        (folder / "escape.txt").symlink_to(outside / "secret.txt")
        (folder / "out").symlink_to(outside)
        os.mkfifo(folder / "pipe.txt")
        if os.geteuid() == 0:
            os.mknod(folder / "zero.txt", 0o20666, os.makedev(1, 5))
        deep = folder
        for _ in range(120):
            deep = deep / "d"
            deep.mkdir()
        (deep / "deep.txt").write_text("far down")
        index = self.place / "odd-index"
        shutil.rmtree(index, ignore_errors=True)
        command = ("index", folder, "-i", index, "--encoder", "pocket", "--json")
        ended = self.machine.run(*command)
        require_told(ended, {0})
        assert state(index).keys() == {str(folder / "plain.txt"), str(deep / "deep.txt")}

    def _vanishing(self) -> None:
        folder = self._folder("vanishing")
        for i in range(60):
            (folder / f"{i}.txt").write_text(f"note {i}")
        index = self.place / "vanishing-index"
        shutil.rmtree(index, ignore_errors=True)
        begun = self.machine.start("index", folder, "-i", index, "--encoder", "pocket", "--json")
        for i in reversed(range(30, 60)):
            (folder / f"{i}.txt").unlink()
        ended = self.machine.end(*begun)
        require_told(ended, {0})
        require_sound(index)
        again = self.machine.run("index", folder, "-i", index, "--json")
        assert len(state(index)) == 30 and again.json()["bad"] == []


def settled(file: Path, found: State, check: Check) -> None:
    """A file has items or a reason of one line, and no reader crashed on it."""
    _, error, items, _ = found[str(file)]
    assert bool(items) != bool(error), file
    assert error is None or "\n" not in error, error
    assert error is None or not any(w in error for w in ("crashed", "Traceback", "took")), error
    check(file, items, error)


def anything(file: Path, items: list[Any], error: str | None) -> None:
    """Read or refused, either will do."""


def refused(file: Path, items: list[Any], error: str | None) -> None:
    """It must not be read."""
    assert error is not None, file


def equal(a: object, b: object) -> None:
    """They are the same."""
    assert a == b


def read_where_pillow_reads(file: Path, items: list[Any], error: str | None) -> None:
    """What Pillow, left to itself, decodes without a complaint is in the index."""
    try:
        with warnings.catch_warnings(), Image.open(file, formats=FORMATS) as image:
            warnings.simplefilter("error")
            image.load()
            image.convert("RGB")
    except Exception:  # noqa: BLE001 - any complaint will do
        return
    assert error is None, (file, error)


def small_picture(source: Path, kind: str) -> bytes:
    """A photograph at 96 x 72 in some format."""
    buffer = io.BytesIO()
    with Image.open(source) as image:
        image.convert("RGB").resize((96, 72)).save(buffer, kind)
    return buffer.getvalue()


def mutated(good: bytes, pick: random.Random) -> bytes:
    """Up to eleven changes: a byte replaced, some cut out, some repeated."""
    data = bytearray(good)
    for _ in range(pick.randrange(1, 12)):
        at = pick.randrange(len(data))
        match pick.randrange(3):
            case 0:
                data[at] = pick.randrange(256)
            case 1:
                del data[at : at + pick.randrange(1, 64)]
            case _:
                data[at:at] = data[at : at + pick.randrange(1, 64)]
    return bytes(data)


def png_of_zeros(width: int, height: int) -> bytes:
    """A PNG that claims a size; a few kilobytes however large that is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sums = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sums

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(2**22), 9)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks
