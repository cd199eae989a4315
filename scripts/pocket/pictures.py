"""Pictures and captions out of free icon packs: fetched, checked, drawn, listed.

A pack is an npm package of the Iconify project: ``icons.json`` holds SVG bodies by name, and the
name is the caption. Each step can be stopped and run again; what is there is not made anew.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import tarfile
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from ragvis._files import replace
from ragvis._lazy import require
from ragvis.errors import ModelUnavailable, UsageError

SOURCES = Path(__file__).with_name("sources.toml")
LISTED = "pictures.jsonl"
FREE = {"MIT", "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"}  # none of them copyleft
_FLAG = re.compile(r"flag-(?:for-)?(?!in-hole)(.+)")
_SKIN = re.compile(r"-(?:light|medium-light|medium|medium-dark|dark)(?:-skin-tone)?$")
_LONGEST = 40  # characters of a caption
_HELD_OUT = 13  # every so manieth caption is kept from training, by its hash


@dataclass(frozen=True, slots=True)
class Pack:
    """One npm package."""

    name: str
    version: str
    integrity: str  # npm's own: "sha512-" and base64
    licence: str
    author: str

    @property
    def source(self) -> str:
        """What a model card calls it."""
        return f"npm:@iconify-json/{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of ``pictures.jsonl``."""

    image: str  # relative to the list
    caption: str
    split: str  # "train" or "test": a caption is in one of them, in whatever style it is drawn
    source: str
    licence: str
    author: str


def packs(file: Path = SOURCES) -> list[Pack]:
    """The packs of a list.

    Raises:
        UsageError: one of them is under no free licence that is not copyleft.
    """
    found = [Pack(**row) for row in tomllib.loads(file.read_text("utf-8"))["pack"]]
    for pack in found:
        if pack.licence not in FREE:
            allowed = ", ".join(sorted(FREE))
            raise UsageError(f"{pack.source} is under {pack.licence}", f"Allowed: {allowed}.")
    return found


def fetch(pack: Pack, folder: Path) -> Path:
    """The package's ``icons.json``, fetched with npm and checked against its hash.

    Raises:
        ModelUnavailable: npm is not here or fails, or what came is not what was pinned.
    """
    icons = folder / f"{pack.name}-{pack.version}.json"
    if icons.is_file():
        return icons
    folder.mkdir(parents=True, exist_ok=True)
    tarball = folder / f"iconify-json-{pack.name}-{pack.version}.tgz"
    if not tarball.is_file():
        _npm_pack(pack, folder)
    check(tarball, pack.integrity)
    with tarfile.open(tarball) as archive:
        member = archive.extractfile("package/icons.json")
        assert member is not None
        part = icons.with_suffix(".part")
        part.write_bytes(member.read())
    replace(part, icons)
    tarball.unlink()
    return icons


def _npm_pack(pack: Pack, folder: Path) -> None:
    command = ["npm", "pack", f"@iconify-json/{pack.name}@{pack.version}", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        hint = "Install Node.js with npm, and check the network."
        raise ModelUnavailable(f"npm could not fetch {pack.source}: {error}", hint) from error


def check(file: Path, integrity: str) -> None:
    """Raises:
    ModelUnavailable: the file has another hash than npm's ``integrity`` says.
    """
    kind, _, wanted = integrity.partition("-")
    found = base64.b64encode(hashlib.new(kind, file.read_bytes()).digest()).decode()
    if found != wanted:
        file.unlink()
        raise ModelUnavailable(f"{file.name} is not what was pinned", "Fetch it again.")


def build(wanted: list[tuple[Pack, Path]], out: Path, side: int) -> int:
    """Draw every icon of some packs and list them; how many there are.

    Args:
        wanted: packs, each with its ``icons.json``.
        out: folder of the pictures, one below it a pack, and of the list.
        side: pixels.
    """
    rows = [row for pack, icons in wanted for row in _drawn(pack, icons, out, side)]
    part = out / f"{LISTED}.part"
    part.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows), "utf-8")
    replace(part, out / LISTED)
    return len(rows)


def read(listed: Path) -> list[Listed]:
    """The lines of a ``pictures.jsonl``.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    try:
        lines = listed.read_text("utf-8").splitlines()
        return [Listed(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{listed}: {error}", "`pictures` writes such a list.") from error


def _drawn(pack: Pack, icons: Path, out: Path, side: int) -> Iterator[Listed]:
    known: dict[str, Any] = json.loads(icons.read_text("utf-8"))
    (out / pack.name).mkdir(parents=True, exist_ok=True)
    for name, icon in known["icons"].items():
        caption = caption_of(name)
        if caption is None or icon.get("hidden"):
            continue
        image = f"{pack.name}/{name}.png"
        if not (out / image).is_file():
            _draw(icon, known, out / image, side)
        about = (pack.source, pack.licence, pack.author)
        yield Listed(image, caption, split_of(caption), *about)


def caption_of(name: str) -> str | None:
    """A caption out of an icon's name, or None for one that says too little or too much."""
    if _SKIN.search(name):
        return None
    country = _FLAG.match(name)
    words = (f"flag of {country[1].title()}" if country else name).replace("-", " ").strip()
    named = sum(char.isalpha() for char in words)
    return words if named > 2 and len(words) <= _LONGEST else None


def split_of(caption: str) -> str:
    """Held out by what is shown, not by picture: no style of it is seen in training."""
    return "test" if zlib.crc32(caption.encode()) % _HELD_OUT == 0 else "train"


def _draw(icon: dict[str, Any], known: dict[str, Any], file: Path, side: int) -> None:
    width, height = (icon.get(k) or known.get(k) or 16 for k in ("width", "height"))
    left, top = icon.get("left", 0), icon.get("top", 0)
    body = icon["body"].replace("currentColor", "#333")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' width="{side}" height="{side}" viewBox="{left} {top} {width} {height}">{body}</svg>'
    )
    drawn = Image.open(io.BytesIO(bytes(require("resvg_py").svg_to_bytes(svg_string=svg))))
    part = file.with_suffix(".part")
    drawn.convert("RGBA").save(part, "PNG")
    part.replace(file)
