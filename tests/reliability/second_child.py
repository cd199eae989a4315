"""The process that reads files with other people's readers: ``python second_child.py``.

Each line on its stdin asks for one file by one reader; a line of JSON on its stdout answers, with
what the reader found or why it could not.
"""

from __future__ import annotations

import base64
import contextlib
import importlib.metadata
import inspect
import json
import logging
import os
import re
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 3 * 2**30  # bytes
SIDE = 32  # pixels of the small picture that is compared
_HEAD = 2**14  # bytes in which a page declares its encoding
_PACKAGES = {
    "pdfminer": "pdfminer.six",
    "docx2txt": "docx2txt",
    "docx2python": "docx2python",
    "html2text": "html2text",
    "pillow": "pillow",
}
# docx2python's own: a picture with its description, a note's number; links and fonts.
_MARKS = re.compile(
    r"----Image alt text---->[^<]*<|----[\w/.]*----|\b(?:foot|end)note\d+\)|</?(?:a|span)\b[^>]*>"
)
_ABBREVIATIONS = re.compile(r"^ *\*\[.*?\]: .*$", re.MULTILINE)  # html2text's list of <abbr title>
_PDF_SPACES = re.compile(r"\(cid:\d+\)")  # pdfminer's word for a glyph without a character


def pdfminer(path: Path) -> str:
    """pdfminer.six, the text of forms and figures included."""
    from pdfminer.high_level import extract_text
    from pdfminer.layout import LAParams

    return _PDF_SPACES.sub(" ", extract_text(path, laparams=LAParams(all_texts=True)))


def pdftotext(path: Path) -> str:
    """Poppler's pdftotext."""
    command = ["pdftotext", "-enc", "UTF-8", str(path), "-"]
    ended = subprocess.run(command, capture_output=True, check=False)
    if ended.returncode:
        raise ValueError(ended.stderr.decode("utf-8", "replace").strip()[-200:])
    return ended.stdout.decode("utf-8", "replace")


def docx2txt(path: Path) -> str:
    """docx2txt: body, headers and footers."""
    import docx2txt as reader

    return str(reader.process(path))


def docx2python(path: Path) -> str:
    """docx2python: body, headers, footers and notes, without its own marks."""
    from docx2python import docx2python as reader

    with reader(path, duplicate_merged_cells=False) as content:
        return _MARKS.sub(" ", content.text)


def html2text(path: Path, encoding: str | None = None) -> str:
    """html2text, of a page's text by its named or else its declared encoding."""
    import html2text as reader

    data = path.read_bytes()
    writer = reader.HTML2Text(bodywidth=0)
    writer.unicode_snob = True  # or it writes ``a`` for ``ä``
    writer.ignore_links = writer.ignore_images = writer.ignore_emphasis = True
    text = writer.handle(data.decode(encoding or _declared(data), "replace"))
    return _ABBREVIATIONS.sub("", text)


def named(path: Path, encoding: str) -> str:
    """The text by the encoding that its authors name."""
    return path.read_bytes().decode(encoding)


def pillow(path: Path) -> dict[str, Any]:
    """Pillow, asked for the simplest."""
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture: Image.Image = ImageOps.exif_transpose(opened)
        rgba = picture.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        small = flat.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = base64.b64encode(small.tobytes()).decode()
        return {"size": f"{opened.width}×{opened.height} {opened.mode}", "pixels": pixels}


def _declared(data: bytes) -> str:
    """The encoding that a page declares, as html5lib finds it, or UTF-8 if it can be that."""
    import html5lib

    parser = html5lib.HTMLParser()
    parser.parse(data[:_HEAD])
    encoding, certainty = parser.tokenizer.stream.charEncoding
    if certainty != "certain":
        with contextlib.suppress(UnicodeDecodeError):
            data.decode("utf-8")
            return "utf-8"
    return str(encoding.codec_info.name)


def version(reader: str) -> str:
    """Package and code of a reader: what another one said does not count."""
    code = inspect.getsource(READERS[reader])
    if reader == "pdftotext":
        said = subprocess.run(["pdftotext", "-v"], capture_output=True, text=True, check=False)
        return said.stderr.partition("\n")[0] + code
    package = _PACKAGES.get(reader)
    return (importlib.metadata.version(package) if package else "") + code


READERS: dict[str, Callable[..., str | dict[str, Any]]] = {
    f.__name__: f for f in (pdfminer, pdftotext, docx2txt, docx2python, html2text, named, pillow)
}
OF_KIND = {
    "pdf": ("pdfminer", "pdftotext"),
    "docx": ("docx2txt", "docx2python"),
    "html": ("html2text",),
    "text": ("named",),
    "markdown": ("named",),
    "picture": ("pillow",),
}


def missing(reader: str) -> str | None:
    """Why a reader cannot be asked here, or None."""
    if reader == "pdftotext" and shutil.which("pdftotext") is None:
        return "needs pdftotext (Debian: apt-get install poppler-utils)"
    return None


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """What a reader finds in a file, or why it cannot be read."""
    more = [job["encoding"]] if job.get("encoding") else []
    try:
        found = READERS[job["reader"]](Path(job["path"]), *more)
    # Whatever the reader stumbles over, it is the answer.
    except (Exception, RecursionError) as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return found if isinstance(found, dict) else {"text": found}


def main() -> None:
    """Answer until stdin ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(5)
    logging.disable()
    warnings.simplefilter("ignore")
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not get between the answers
    for line in sys.stdin:
        # Lone surrogates of a broken text pass as JSON's own escapes.
        out.write(json.dumps(answer(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
