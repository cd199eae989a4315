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
    "pypdfium2": "pypdfium2==5.15.2 --hash=sha256:"
    "0185193bbdf0cc39f0bf31954c25f12edb81048bcb628ea4fc3dccf8d2ce2aef",
    "pdfminer": "pdfminer==20191125 --hash=sha256:"
    "9e700bc731300ed5c8936343c1dd4529638184198e54e91dd2b59b64a755dc01",
    "ocrmypdf": "ocrmypdf==17.13.0 --hash=sha256:"
    "151c35d810eb628fbc5cb9bbe80b834ecf094737efa0e7a2e9e1fac3c730ed49",
    "rst2pdf": "rst2pdf==0.105 --hash=sha256:"
    "857e8741014ec5015f7a00aafb5dccbb56378ef4c1da55a828d44bcf5ff3acdb",
    "python-docx": "python-docx==1.2.0 --hash=sha256:"
    "7bc9d7b7d8a69c9c02ca09216118c86552704edc23bac179283f2e38f86220ce",
    "pydocx": "PyDocX==0.9.10 --hash=sha256:"
    "07bd9bce7834f8a5e0b00130f29b54bbdda22d625711a591421913bdfa8470e3",
    "html2text": "html2text==2025.4.15 --hash=sha256:"
    "948a645f8f0bc3abe7fd587019a2197a12436cd73d0d4908af95bfc8da337588",
    "inscriptis": "inscriptis==2.7.6 --hash=sha256:"
    "b8fe23c5ae4db33c9d1c5e1b7d000dbfa1decbea7b605ac87e0f5d8f8abc3ce6",
    "sphinx": "sphinx==9.0.4 --hash=sha256:"
    "594ef59d042972abbc581d8baa577404abe4e6c3b04ef61bd7fc2acbd51f3fa3",
    "docutils": "docutils==0.23 --hash=sha256:"
    "746f5060322511280a1e50eb76846ed6bf2342984b2ac04dc42caa1a8d78799e",
    "trafilatura": "trafilatura==2.3.1 --hash=sha256:"
    "2e5557aeab32d33b9da7ff0debbb677a676c5b648a927e50d91b8277011e1105",
    "beautifulsoup4": "beautifulsoup4==4.15.0 --hash=sha256:"
    "288e3ca7d54b06f2ac191970bc275c1939cb46d450b255bf6718b04aa37ab4f7",
    "chardet": "chardet==4.0.0 --hash=sha256:"
    "0d6f53a15db4120f2b08c94f11e7d93d2c911ee118b6b30a04ec3ee8310179fa",
    "charset-normalizer": "charset-normalizer==3.5.3 --hash=sha256:"
    "a250888753faa289e2997962fbb17c4960cbdb58575533ca6fceee68c224bdff",
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
