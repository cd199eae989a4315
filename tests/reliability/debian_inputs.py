"""Sources of Debian packages whose tests hold files, fetched by pinned hash with apt's own tools.

Optional: other systems have no apt, and Debian's mirrors let go of old versions.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from inputs import CACHE

# version of the source package, and the sha256 of its upstream archive
SOURCES = {
    "pandoc": (
        "2.17.1.1-2~deb12u1",
        "df7c6c605d084252fc28687dffe63ca57dd04a463698d323924d3be2f1f5df32",
    ),
    "libapache-poi-java": (
        "4.0.1-4",
        "54db524e2bae73658e4fdb3a6e2d69cb4137638ace71fcde93659be2695287ea",
    ),
    "pdf.js": (
        "2.14.305+dfsg-2",
        "c6248d0b329c9edbea169740571561fd0941d9ff634c1b4c7bdaca5d681f34ce",
    ),
    "uchardet": (
        "0.0.7-1",
        "3fc79408ae1d84b406922fa9319ce005631c95ca0f34b205fad867e8b30e45b1",
    ),
    "libpdfbox-java": (
        "1:1.8.16-2",
        "33571a3fc7c7353d4ced7665a8679b62eaad804df7e3f3f16a776dc75a67fb03",
    ),
}


class Unavailable(Exception):
    """This system cannot fetch a source package; the message says why."""


def fetch(name: str, cache: Path) -> Path:
    """The unpacked source of one of them; fetched once.

    Raises:
        Unavailable: there is no apt, no such version any more, or other bytes than the pinned ones.
    """
    folder = cache / CACHE / name
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    version, wanted = SOURCES[name]
    archive = _downloaded(f"{name}={version}", folder, cache / CACHE / "apt")
    if hashlib.sha256(archive.read_bytes()).hexdigest() != wanted:
        raise Unavailable(f"{archive.name} is not the archive that is pinned")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    archive.unlink()
    (folder / "complete").touch()
    return folder


def _downloaded(package: str, folder: Path, state: Path) -> Path:
    options = _source_lists(state)
    if not any((state / "lists").glob("*Sources*")):
        _apt(["apt-get", *options, "update"], folder)
    command = ["apt-get", *options, "source", "--download-only", "--tar-only", "-qq", package]
    _apt(command, folder)
    return next(folder.glob("*.orig.tar.*"))


def _source_lists(state: Path) -> list[str]:
    """Options by which apt looks for sources where this system has its packages from, and keeps
    what it learns in a folder of ours."""
    for part in ("lists/partial", "cache/archives/partial", "parts"):
        (state / part).mkdir(parents=True, exist_ok=True)
    places = Path("/etc/apt")
    for file in [places / "sources.list", *places.glob("sources.list.d/*")]:
        if file.suffix in (".list", ".sources") and file.exists():
            text = re.sub(r"^(Types: *)deb\b.*", r"\1deb-src", file.read_text(), flags=re.M)
            text = re.sub(r"^deb(?= )", "deb-src", text, flags=re.M)
            (state / "parts" / file.name).write_text(text)
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(state / "parts"),
        "Dir::State::lists": str(state / "lists"),
        "Dir::Cache": str(state / "cache"),
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def _apt(command: list[str], folder: Path) -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable("this system has no apt")
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if line.startswith("E:")]
        raise Unavailable(said[-1][3:] if said else f"apt-get ended with {ended.returncode}")
