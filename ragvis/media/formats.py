"""What a file is that is no picture of a format that is read: by its first bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD = 512  # bytes that are looked at
_CONVERT = "Save it as JPEG or PNG"
_HEIF = f"{_CONVERT} first: heif-convert (of libheif) or ImageMagick does it, or a phone's export."
_RAW = f"{_CONVERT} first: darktable, RawTherapee or the camera maker's program does it."
_DRAWN = f"{_CONVERT} first: Inkscape or rsvg-convert does it."
_EDITED = f"{_CONVERT} first: GIMP, Krita or ImageMagick does it."
_OTHER = f"{_CONVERT} first: ImageMagick does it."
_VIDEO = f"{_CONVERT} a picture of it first: ffmpeg does it."
_DOCUMENT = "Index it with `ragvis index` and ask about it; -a takes pictures."
_SVG = re.compile(rb"<svg[\s>]|<!DOCTYPE svg", re.IGNORECASE)
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Format:
    """A format by its name, and what to do with a file of it."""

    name: str
    advice: str


# By the brand of a file of the ISO base media format, of which HEIF is one
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), Format("AVIF", _HEIF)),
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        Format("HEIC", _HEIF),
    ),
    **dict.fromkeys((b"jpeg", b"jpgs", b"j2ki"), Format("HEIF", _HEIF)),
    b"crx ": Format("Canon camera RAW (CR3)", _RAW),
}
_ANY_HEIF = (b"mif1", b"msf1", b"mif2", b"miaf")  # what is in it, the other brands tell
_STARTS = (
    (b"\xff\x0a", Format("JPEG XL", _OTHER)),
    (b"\0\0\0\x0cJXL ", Format("JPEG XL", _OTHER)),
    (b"\0\0\0\x0cjP  ", Format("JPEG 2000", _OTHER)),
    (b"\xff\x4f\xff\x51", Format("JPEG 2000", _OTHER)),
    (b"II\xbc\x01", Format("JPEG XR", _OTHER)),
    (b"8BPS", Format("Photoshop", _EDITED)),
    (b"gimp xcf", Format("GIMP's XCF", _EDITED)),
    (b"FUJIFILMCCD-RAW", Format("Fujifilm camera RAW (RAF)", _RAW)),
    (b"IIRO", Format("Olympus camera RAW (ORF)", _RAW)),
    (b"IIRS", Format("Olympus camera RAW (ORF)", _RAW)),
    (b"MMOR", Format("Olympus camera RAW (ORF)", _RAW)),
    (b"IIU\0", Format("Panasonic camera RAW (RW2)", _RAW)),
    (b"FOVb", Format("Sigma camera RAW (X3F)", _RAW)),
    (b"v/1\x01", Format("OpenEXR", _EDITED)),
    (b"#?R", Format("Radiance HDR", _EDITED)),
    (b"\0\0\1\0", Format("an icon (ICO)", _OTHER)),
    (b"icns", Format("an icon (ICNS)", _OTHER)),
    (b"DDS ", Format("DirectDraw (DDS)", _OTHER)),
    (b"qoif", Format("QOI", _OTHER)),
    (b"SIMPLE  =", Format("FITS", _OTHER)),
    (b"\xd7\xcd\xc6\x9a", Format("a Windows metafile", _DRAWN)),
    (b"\x01\0\0\0", Format("a Windows metafile", _DRAWN)),
    (b"%!PS", Format("PostScript", _DRAWN)),
    (b"\xc5\xd0\xd3\xc6", Format("PostScript", _DRAWN)),
    (b"%PDF", Format("PDF", _DOCUMENT)),
    (b"PK\x03\x04", Format("a zip archive or an office document", _DOCUMENT)),
    (b"\xd0\xcf\x11\xe0", Format("an old office document", _DOCUMENT)),
    (b"AT&TFORM", Format("DjVu", _OTHER)),
    (b"\x1aE\xdf\xa3", Format("a video (Matroska or WebM)", _VIDEO)),
    (b"\0\0\1\xba", Format("a video (MPEG)", _VIDEO)),
    *((b"P%d" % n, Format("PNM (PBM, PGM, PPM)", _OTHER)) for n in range(1, 8)),
)


def format_of(head: bytes) -> Format | None:
    """The format that a file's first bytes tell, or None where they tell none of those known."""
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return Format("a video (AVI)", _VIDEO)
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if _HTML.match(head):
        return Format("a web page", _DOCUMENT)
    return Format("SVG", _DRAWN) if _SVG.search(head) else None


def _of_brands(head: bytes) -> Format:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    for brand in brands:
        if brand in _BRANDS:
            return _BRANDS[brand]
    if any(brand in _ANY_HEIF for brand in brands):
        return Format("HEIF", _HEIF)
    return Format("a video (MP4 or QuickTime)", _VIDEO)
