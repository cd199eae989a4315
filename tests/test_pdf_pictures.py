"""The pictures of PDFs, as they are seen on their pages, and where on them they stand."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from pdf_files import PIXELS, image, one_page, stream, text, written
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from ragvis.documents import read
from ragvis.documents.pdf_page import view
from ragvis.media.fit import Fit

CASES = Path(__file__).parent / "cases"
Y, X = np.mgrid[0:PIXELS, 0:PIXELS]
DISC = (X - 50) ** 2 + (Y - 50) ** 2 < 30**2
GREY8 = b"/ColorSpace/DeviceGray/BitsPerComponent 8"
RGB8 = b"/ColorSpace/DeviceRGB/BitsPerComponent 8"
BLACK = bytes(3 * PIXELS**2)
XOBJECT = b"/XObject<</X 5 0 R>>"


def levels(values: np.ndarray) -> bytes:
    return np.asarray(values, np.uint8).tobytes()


def bits(values: np.ndarray) -> bytes:
    return np.packbits(values, axis=1).tobytes()


def keyed() -> bytes:
    return levels(np.where(DISC[..., None], [0, 0, 0], [255, 0, 255]))


def cmyk(inverted: bool) -> bytes:
    ink = np.stack([0 * X, 0 * X, 0 * X, 255 * DISC], -1)
    return levels(255 - ink if inverted else ink)


def cmyk_jpeg() -> bytes:
    """As Adobe's programs and Pillow write it: inverted."""
    out = io.BytesIO()
    Image.fromarray(np.where(DISC, 0, 255).astype(np.uint8)).convert("RGB").convert("CMYK").save(
        out, "JPEG", quality=95
    )
    return out.getvalue()


# Each is a black disc on white: the head and data of its picture, and its mask if it has one
DISCS: dict[str, tuple[bytes, bytes, bytes]] = {
    "soft mask": (RGB8 + b"/SMask 6 0 R", BLACK, image(GREY8, levels(255 * DISC))),
    "small soft mask": (
        RGB8 + b"/SMask 6 0 R",
        BLACK,
        image(GREY8, levels(255 * DISC[::2, ::2]), PIXELS // 2),
    ),
    "explicit mask": (
        RGB8 + b"/Mask 6 0 R",
        BLACK,
        image(b"/ImageMask true/BitsPerComponent 1", bits(~DISC)),
    ),
    "colour key": (RGB8 + b"/Mask[250 255 0 5 250 255]", keyed(), b"null"),
    "stencil": (b"/ImageMask true/BitsPerComponent 1", bits(~DISC), b"null"),
    "stencil decoded": (b"/ImageMask true/BitsPerComponent 1/Decode[1 0]", bits(DISC), b"null"),
    "grey decoded": (GREY8 + b"/Decode[1 0]", levels(255 * DISC), b"null"),
    "one bit": (b"/ColorSpace/DeviceGray/BitsPerComponent 1", bits(~DISC), b"null"),
    "indexed": (
        b"/ColorSpace[/Indexed/DeviceRGB 1<ffffff000000>]/BitsPerComponent 1",
        bits(DISC),
        b"null",
    ),
    "16 bits": (
        b"/ColorSpace/DeviceGray/BitsPerComponent 16",
        np.where(DISC, 0, 65535).astype(">u2").tobytes(),
        b"null",
    ),
    "cmyk": (b"/ColorSpace/DeviceCMYK/BitsPerComponent 8", cmyk(False), b"null"),
    "cmyk decoded": (
        b"/ColorSpace/DeviceCMYK/BitsPerComponent 8/Decode[1 0 1 0 1 0 1 0]",
        cmyk(True),
        b"null",
    ),
    "cmyk jpeg": (
        b"/ColorSpace/DeviceCMYK/BitsPerComponent 8/Filter/DCTDecode/Decode[1 0 1 0 1 0 1 0]",
        cmyk_jpeg(),
        b"null",
    ),
}


def placed(folder: Path, *objects: bytes, cm: bytes = b"200 0 0 200 100 300") -> Path:
    content = text(50, 700, b"A picture.") + b"q " + cm + b" cm /X Do Q"
    return written(folder, one_page(content, *objects, resources=XOBJECT))


def test_a_picture_with_a_soft_mask_is_on_white() -> None:
    (figure,) = read(CASES / "pdf_alpha" / "alpha.pdf").figures
    picture = figure.open()
    assert picture.size == (200, 200)
    assert picture.getpixel((0, 0)) == (255, 255, 255)
    assert picture.getpixel((100, 100)) == (0, 0, 0)


@pytest.mark.parametrize("name", DISCS)
def test_masks_colours_and_decoding_are_as_on_the_page(tmp_path: Path, name: str) -> None:
    head, data, mask = DISCS[name]
    (figure,) = read(placed(tmp_path, image(head, data), mask)).figures
    picture = figure.open().convert("L")
    assert picture.size == (PIXELS, PIXELS)
    shown = np.asarray(picture) < 128
    assert (shown != DISC).mean() < 0.02
    assert picture.getpixel((0, 0)) == 255 and picture.getpixel((50, 50)) < 60


def test_colours_are_kept_to_the_pixel(tmp_path: Path) -> None:
    pixels = np.stack([2 * X, 2 * Y, 255 - X - Y], -1).astype(np.uint8)
    (figure,) = read(placed(tmp_path, image(RGB8, pixels.tobytes()))).figures
    assert np.array_equal(np.asarray(figure.open()), pixels)


def test_pictures_that_differ_in_their_masks_alone_are_two(tmp_path: Path) -> None:
    first, second = levels(255 * DISC), levels(255 * (X < 30))
    objects = [image(RGB8 + b"/SMask %d 0 R" % n, BLACK) for n in (6, 8)]
    content = b"q 100 0 0 100 50 300 cm /X Do Q q 100 0 0 100 250 300 cm /Y Do Q"
    content += b"q 100 0 0 100 400 300 cm /X Do Q"
    data = one_page(
        text(50, 700, b"Two.") + content, objects[0], image(GREY8, first), objects[1],
        image(GREY8, second), resources=b"/XObject<</X 5 0 R/Y 7 0 R>>",
    )  # fmt: skip
    figures = read(written(tmp_path, data)).figures
    assert [figure.bbox[0] for figure in figures if figure.bbox] == [50, 250]
    assert [figure.open().getpixel((10, 10)) for figure in figures] == [(255,) * 3, (0,) * 3]


QUARTERS = np.zeros((PIXELS, PIXELS, 3), np.uint8)
QUARTERS[:50, :50], QUARTERS[:50, 50:] = (255, 0, 0), (0, 255, 0)
QUARTERS[50:, :50], QUARTERS[50:, 50:] = (0, 0, 255), (255, 255, 0)
CORNERS = ((0.2, 0.2), (0.8, 0.2), (0.2, 0.8), (0.8, 0.8))


def corners(picture: Image.Image) -> list[object]:
    """The colour of each quarter: as seen, a little blurred."""
    at = [(int(x * picture.width), int(y * picture.height)) for x, y in CORNERS]
    return [tuple(round(v / 255) for v in picture.getpixel(place)) for place in at]  # type: ignore[union-attr]


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize(
    "cm",
    [
        b"200 0 0 200 100 300",
        b"0 200 -200 0 300 300",
        b"-200 0 0 -200 300 500",
        b"0 -200 200 0 100 500",
        b"-200 0 0 200 300 300",
        b"200 0 0 -200 100 500",
    ],
)
def test_a_picture_is_turned_as_it_is_seen_and_found_there(
    tmp_path: Path, cm: bytes, turned: int
) -> None:
    page = b"/MediaBox[0 0 600 800]/CropBox[50 100 500 750]/UserUnit 2/Rotate %d" % turned
    form = stream(
        b"/Type/XObject/Subtype/Form/BBox[0 0 900 900]/Matrix[1 0 0 1 7 5]"
        b"/Resources<</XObject<</I 6 0 R>>>>",
        b"q 0.5 0 0 0.5 0 0 cm " + cm + b" cm /I Do Q",
    )
    content = text(60, 700, b"A picture.") + b"q 2 0 0 2 -14 -10 cm /X Do Q"
    whole = one_page(content, form, image(RGB8, QUARTERS.tobytes()), resources=XOBJECT, page=page)
    file = written(tmp_path, whole)
    (figure,) = read(file).figures
    assert figure.bbox == (100, 300, 300, 500)
    seen = view(file, 1, None, figure.bbox)
    ((left, top, wide, high),) = seen.boxes
    w, h = seen.picture.size
    box = (left * w, top * h, (left + wide) * w, (top + high) * h)
    assert corners(figure.open()) == corners(seen.picture.crop(tuple(map(round, box))))


@pytest.mark.parametrize("name", ["offset", "plain"])
def test_the_text_near_a_picture(name: str) -> None:
    (figure,) = read(CASES / "pdf_offset" / f"{name}.pdf").figures
    assert "blue crane" in figure.near


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("box", [b"/MediaBox[-900 2000 -300 2800]", b"/MediaBox[0 0 600 800]"])
def test_a_caption_is_near_on_turned_and_shifted_pages(
    tmp_path: Path, box: bytes, turned: int
) -> None:
    """The caption stands below the picture as it is seen, other text far from both."""
    left, bottom = (-900, 2000) if b"-" in box else (0, 0)
    across = turned in (90, 270)
    turn = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turned]

    def words(dx: int, dy: int, said: bytes) -> bytes:
        x, y = (300 - dy, 400 + dx) if across else (300 + dx, 400 + dy)
        return b"BT /F 9 Tf %d %d %d %d %d %d Tm (%s) Tj ET " % (*turn, left + x, bottom + y, said)

    content = b"q 80 0 0 80 %d %d cm /X Do Q " % (left + 260, bottom + 360)
    content += words(-10, -60, b"A blue crane.") + words(0, -250, b"Nothing of it.")
    page = box + b"/Rotate %d" % turned
    data = one_page(content, image(RGB8, BLACK), resources=XOBJECT, page=page)
    (figure,) = read(written(tmp_path, data)).figures
    assert figure.near == "A blue crane."


def test_a_broken_word_near_a_picture_is_whole(tmp_path: Path) -> None:
    content = text(100, 280, b"It was main-") + text(100, 266, b"tained.")
    content += b"q 200 0 0 200 100 300 cm /X Do Q"
    file = written(tmp_path, one_page(content, image(RGB8, BLACK), resources=XOBJECT))
    (figure,) = read(file).figures
    assert figure.near == "It was maintained."


def scan(file: Path, words: str, stripes: int = 1) -> Path:
    canvas = Canvas(str(file), pagesize=(400, 600))
    for n in range(stripes):
        grey = Image.fromarray(levels_of_a_scan(n).astype(np.uint8))
        canvas.drawImage(ImageReader(grey), 0, 600 * n / stripes, 400, 600 / stripes)
    canvas.drawString(20, 580, words)
    canvas.save()
    return file


def levels_of_a_scan(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (100, 400))


@pytest.mark.parametrize("stripes", [1, 10])
def test_a_scan_with_a_stamp_is_a_picture_of_the_page(tmp_path: Path, stripes: int) -> None:
    document = read(scan(tmp_path / "a.pdf", "Received 3 May", stripes))
    assert "Received 3 May" in document.pages[0].text
    whole = [figure for figure in document.figures if figure.bbox is None]
    assert whole == list(document.figures)
    assert len(whole) == 1 and "Received" in whole[0].near


def test_a_scan_with_its_own_text_layer_stays_as_it_is(tmp_path: Path) -> None:
    document = read(scan(tmp_path / "a.pdf", "word " * 60))
    assert [figure.bbox for figure in document.figures] == [(0, 0, 400, 600)]


def test_small_pictures_do_not_keep_others_out(tmp_path: Path) -> None:
    """Sixty-four pictures are taken of a page, of those that are large enough."""
    dots = [image(GREY8, bytes([n]) * 100, 10) for n in range(80)]
    names = b"".join(b"/D%d %d 0 R" % (n, 6 + n) for n in range(80))
    content = text(50, 700, b"Dots.") + b"".join(
        b"q 5 0 0 5 %d 600 cm /D%d Do Q " % (5 * n, n) for n in range(80)
    )
    data = one_page(
        content + b"q 200 0 0 200 100 300 cm /X Do Q", image(RGB8, BLACK), *dots,
        resources=b"/XObject<</X 5 0 R%s>>" % names,
    )  # fmt: skip
    assert len(read(written(tmp_path, data)).figures) == 1


def test_a_picture_that_is_cropped_off_is_left_out(tmp_path: Path) -> None:
    page = b"/MediaBox[0 0 600 800]/CropBox[0 550 600 800]"
    content = text(50, 700, b"A picture.") + b"q 200 0 0 200 100 300 cm /X Do Q"
    data = one_page(content, image(RGB8, BLACK), resources=XOBJECT, page=page)
    assert read(written(tmp_path, data)).figures == ()


def test_a_packed_picture_is_fitted(tmp_path: Path) -> None:
    packed = image(RGB8 + b"/Filter/FlateDecode", zlib.compress(QUARTERS.tobytes()))
    (figure,) = read(placed(tmp_path, packed)).figures
    assert figure.open(fit=Fit(8, 8)).getpixel((10, 10)) == (255, 0, 0)
