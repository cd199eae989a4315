"""PDFs written object by object, for what no writer at hand writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
PIXELS = 100  # of each side of a picture


def stream(head: bytes, data: bytes) -> bytes:
    return b"<<%s /Length %d>>\nstream\n%s\nendstream" % (head, len(data), data)


def image(head: bytes, data: bytes, side: int = PIXELS) -> bytes:
    about = b"/Type/XObject/Subtype/Image/Width %d/Height %d" % (side, side)
    return stream(about + head, data)


def one_page(
    content: bytes,
    *objects: bytes,
    resources: bytes = b"",
    page: bytes = b"/MediaBox[0 0 600 800]",
    catalog: bytes = b"",
    font: bytes = FONT,
) -> bytes:
    """A PDF of one page, whose font is /F; further objects are numbered from 5 on."""
    resources = b"/Resources<</Font<</F %s>>%s>>" % (font, resources)
    body = [
        b"<</Type/Catalog/Pages 2 0 R%s>>" % catalog,
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/Contents 4 0 R%s%s>>" % (resources, page),
        stream(b"", content),
        *objects,
    ]
    return _file(body)


def text(x: int, y: int, words: bytes, before: bytes = b"", size: float = 12) -> bytes:
    return b"%s BT /F %g Tf %d %d Td (%s) Tj ET\n" % (before, size, x, y, words)


def written(folder: Path, data: bytes, name: str = "a.pdf") -> Path:
    file = folder / name
    file.write_bytes(data)
    return file


def _file(body: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, one in enumerate(body, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(body) + 1
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\n" % (
        size,
        table,
        size,
    )
    return bytes(out) + tail + b"startxref\n%d\n%%%%EOF" % len(out)
