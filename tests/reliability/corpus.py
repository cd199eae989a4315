"""Files that other projects test their readers with, and how each of them is to be read."""

from __future__ import annotations

import codecs
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import debian_inputs
import inputs

from ragvis.documents.reader import kind_of

# Which files of each source.
FILES = {
    "pypdf": ("**/*.pdf",),
    "pikepdf": ("**/*.pdf",),
    "pypdfium2": ("tests/**/*.pdf",),
    "pdfminer": ("samples/**/*.pdf", "samples/**/*.html"),
    "ocrmypdf": ("tests/**/*.pdf",),
    "rst2pdf": ("tests/**/*.pdf",),
    "python-docx": ("**/*.docx", "**/*.html"),
    "pydocx": ("**/*.docx", "**/*.html"),
    "html2text": ("test/*.html", "test/*.md"),
    "sphinx": ("**/*.pdf", "tests/**/*.txt", "tests/**/*.md"),
    "docutils": ("**/*.html", "docs/**/*.txt"),
    "trafilatura": ("tests/**/*.html", "tests/**/*.txt"),
    "beautifulsoup4": ("**/*.html",),
    "inscriptis": ("tests/**/*.html", "tests/**/*.txt"),
    "pillow": ("Tests/images/**/*",),
    "chardet": ("tests/*/*",),
    "charset-normalizer": ("data/*.txt",),
    "uchardet": ("test/*/*.txt",),
    "pandoc": ("test/**/*.docx", "test/**/*.html", "test/**/*.txt", "test/**/*.md"),
    "libapache-poi-java": ("test-data/**/*.docx", "test-data/**/*.html"),
    "pdf.js": ("test/pdfs/*.pdf",),
    "libpdfbox-java": ("**/test/**/*.pdf", "**/test/**/*.html"),
}
ENCODED = {".txt", ".xml", ".srt"}  # what is text in ``chardet``
_NAMED = re.compile(r'"([\w.-]+\.txt)", "(\w+)"')  # a file and its encoding, in a list of tests


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    Attributes:
        path: the file, with a suffix that ragvis reads.
        kind: of document.
        source: the project that tests with it.
        name: its path within that project.
        encoding: as its authors name it; UTF-8 where they do not, and the file is plain text.
    """

    path: Path
    kind: str
    source: str
    name: str
    encoding: str | None = None


def entries(cache: Path, kinds: set[str], skipped: dict[str, str]) -> Iterator[Entry]:
    """All files of these kinds; sources that cannot be had are put into ``skipped``, with why."""
    for source, patterns in FILES.items():
        try:
            root = (debian_inputs.fetch if source in debian_inputs.SOURCES else inputs.fetch)(
                source, cache
            )
        except subprocess.CalledProcessError as error:
            skipped[source] = f"it could not be fetched: pip ended with {error.returncode}"
            continue
        except (OSError, debian_inputs.Unavailable) as error:
            skipped[source] = str(error)
            continue
        yield from (e for e in _of_source(source, root, patterns) if e.kind in kinds)


def _of_source(source: str, root: Path, patterns: tuple[str, ...]) -> Iterator[Entry]:
    top = next(f for f in root.iterdir() if f.is_dir() and f.name != "renamed")
    encodings = _encodings(source, top)
    for path in sorted({f for p in patterns for f in top.glob(p)}):
        if not path.is_file() or path.is_symlink() or path.stat().st_size == 0:
            continue
        encoding = encodings.get(path.name)
        if source == "chardet":  # folders are named by encodings
            encoding = _first_known(path.parent.name)
            path = _as_text(path, root / "renamed")
        elif source == "uchardet":  # files are
            encoding = _first_known(path.stem)
        kind = kind_of(path)
        if kind is not None and (kind == "picture") == (source == "pillow"):
            if kind in ("text", "markdown"):
                encoding = encoding or "utf-8"
            yield Entry(path, kind, source, str(path.relative_to(root)), encoding)


def _encodings(source: str, top: Path) -> dict[str, str]:
    if source != "charset-normalizer":
        return {}
    return dict(_NAMED.findall((top / "tests" / "test_full_detection.py").read_text("utf-8")))


def _first_known(name: str) -> str:
    """The encoding that a name begins with: ``windows-1251-bulgarian``."""
    parts = name.split("-")
    for end in range(len(parts), 0, -1):
        try:
            return codecs.lookup("-".join(parts[:end])).name
        except LookupError:
            continue
    return name


def _as_text(path: Path, folder: Path) -> Path:
    """The same file as a text, where its suffix says something else."""
    if path.suffix not in ENCODED or path.suffix == ".txt":
        return path
    other = folder / path.parent.name / f"{path.name}.txt"
    other.parent.mkdir(parents=True, exist_ok=True)
    if not other.exists():
        other.hardlink_to(path)
    return other
