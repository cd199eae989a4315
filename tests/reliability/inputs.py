"""Files that others made to break readers, fetched by pinned hash into ragvis' cache."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

CACHE = "reliability-inputs"
# Source packages whose tests hold the files; pip checks the hashes.
SOURCES = {
    "pillow": "pillow==12.0.0 --hash=sha256:"
    "87d4f8125c9988bfbed67af47dd7a953e2fc7b0cc1e7800ec6d2080d490bb353",
    "pypdf": "pypdf==7.1.0 --hash=sha256:"
    "ca3fa902369e98a6d2cb7b56396de902b72ef9bb3c1e8706c1bfc7d8bd0cf0d7",
    "pikepdf": "pikepdf==10.17.0 --hash=sha256:"
    "de4ccaae83628e86c1fd473b384c09c6ff1dd35a583a8dacbf61d2aa4bea843b",
    "pypng": "pypng==0.20220715.0 --hash=sha256:"
    "739c433ba96f078315de54c0db975aee537cbc3e1d0ae4ed9aab0ca1e427e2c1",
}


def fetch(name: str, cache: Path) -> Path:
    """The unpacked source of one of them; fetched once."""
    folder = cache / CACHE / name
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wanted.txt"
    wanted.write_text(SOURCES[name] + "\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:"]
    command += ["--require-hashes", "--quiet", "--dest", str(folder), "-r", str(wanted)]
    subprocess.run(command, check=True)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    (folder / "complete").touch()
    return folder


def pillow_images(cache: Path) -> list[Path]:
    """Everything in Pillow's own folder of test images."""
    root = next(fetch("pillow", cache).glob("*/Tests/images"))
    return sorted(f for f in root.rglob("*") if f.is_file() and not f.is_symlink())


def png_suite(cache: Path, into: Path) -> list[Path]:
    """Willem van Schaik's PngSuite, as pypng carries it."""
    script = next(fetch("pypng", cache).glob("*/code/pngsuite.py"))
    made = runpy.run_path(str(script))["png"]
    files = []
    for name, data in sorted(made.items()):
        files.append(into / f"{name}.png")
        files[-1].write_bytes(data if isinstance(data, bytes) else data.getvalue())
    return files


def pdfs(cache: Path) -> list[Path]:
    """The documents that pypdf's and pikepdf's tests read."""
    folders = [fetch(name, cache) for name in ("pypdf", "pikepdf")]
    return sorted(f for folder in folders for f in folder.rglob("*.pdf") if f.is_file())
