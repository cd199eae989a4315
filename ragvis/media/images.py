"""The one module that knows PIL: untrusted bytes in, upright RGB pictures out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

from PIL import Image, ImageOps, UnidentifiedImageError

from ragvis.errors import BadFile
from ragvis.media.fit import Fit

Picture: TypeAlias = Image.Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_THINNEST = 10  # long side over short side
_LONGEST_THIN = 4096  # pixels
_DRAFT = 1.75  # times the wanted size, at least
_ORIENTATION, _TURNED = 0x0112, 5  # EXIF; from 5 on, width and height change places
MAX_FRAMES = 500  # pages read from one multi-page TIFF


def open_picture(source: Path | bytes, frame: int = 0, fit: Fit | None = None) -> Picture:
    """Decode one picture: upright by its EXIF, transparency on white, mode RGB.

    Args:
        source: a file, or its bytes.
        frame: which page of a multi-page TIFF; other formats have one.
        fit: what it will be brought to: a JPEG is decoded at no more than is needed for that.

    Raises:
        BadFile: not a picture of the allowed formats, broken, or over Pillow's bomb limit.
    """
    with _decoding(source) as image:
        if frame:
            image.seek(frame)
        if fit is not None:
            _decode_small(image, fit)
        ImageOps.exif_transpose(image, in_place=True)  # it is ours, and a copy takes its time
        return _rgb(image)


def fitted(picture: Picture, fit: Fit) -> bytes:
    """The picture as an encoder takes it: (height, width, 3) bytes, row by row.

    Nearly the same pixels as open_clip's own preprocessing makes: what that crops off is not
    resampled here. Of a picture that is higher than wide Pillow may then take rows before columns,
    and it rounds and clips between the two: a fifth of the bytes differ by one, few by more.
    """
    filter_ = Image.Resampling.BICUBIC if fit.bicubic else Image.Resampling.BILINEAR
    wide, high = fit.scaled(*picture.size)
    left, top, right, bottom = fit.crop(wide, high)
    if wide < fit.width or high < fit.height:
        canvas = Image.new("RGB", (fit.width, fit.height), (fit.fill,) * 3)
        canvas.paste(picture.resize((wide, high), filter_), (-left, -top))
        return canvas.tobytes()
    x0, x1 = (x * picture.width / wide for x in (left, right))
    y0, y1 = (y * picture.height / high for y in (top, bottom))
    return picture.resize((fit.width, fit.height), filter_, (x0, y0, x1, y1)).tobytes()


def _decode_small(image: Image.Image, fit: Fit) -> None:
    """A JPEG can be decoded at an eighth, a quarter or half of its size, which is most of the
    work; well above what is wanted, the resampling's result stays as it was."""
    width, height = fit.scaled(*image.size)
    if image.getexif().get(_ORIENTATION, 1) >= _TURNED:
        turned = fit.scaled(*image.size[::-1])
        width, height = turned[1], turned[0]
    image.draft("RGB", (round(_DRAFT * width), round(_DRAFT * height)))


def frame_count(source: Path | bytes) -> int:
    """Pages of a TIFF; 1 for any other format, whose further frames are animation.

    Raises:
        BadFile: as ``open_picture``.
    """
    with _decoding(source) as image:
        if image.format != "TIFF":
            return 1
        return min(int(getattr(image, "n_frames", 1)), MAX_FRAMES)


def pixel_key(picture: Picture) -> bytes:
    """Bytes that are equal for equal pictures: size, then pixels."""
    return b"%dx%d:" % picture.size + picture.tobytes()


def rendered(render: Callable[[], Picture]) -> Picture:
    """Run a foreign renderer and bring its picture to RGB.

    Raises:
        BadFile: it failed.
    """
    with _as_bad_file():
        return upright_rgb(render())


def save_png(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def fitted_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height with the long side at most ``longest`` pixels."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def save_jpeg(picture: Picture, longest: int) -> bytes:
    """The picture as a JPEG file, its long side at most ``longest`` pixels."""
    buffer = io.BytesIO()
    picture.resize(fitted_size(picture.size, longest)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@contextmanager
def _decoding(source: Path | bytes) -> Iterator[Image.Image]:
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    with _as_bad_file(), warnings.catch_warnings():
        # Pillow warns at half of the size that it refuses, and about odd metadata.
        warnings.simplefilter("ignore")
        with Image.open(stream, formats=FORMATS) as image:
            yield image


@contextmanager
def _as_bad_file() -> Iterator[None]:
    try:
        yield
    except BadFile:
        raise
    # Decoders of hostile bytes raise whatever they stumble over, SyntaxError included.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = "not a picture of a known format"
        raise BadFile(reason) from error


def upright_rgb(image: Image.Image) -> Picture:
    """Turned by its EXIF, transparency on white, mode RGB, never thinner than 1:10."""
    return _rgb(ImageOps.exif_transpose(image))


def _rgb(image: Image.Image) -> Picture:
    """The same of a picture that is upright, which may be what is returned."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        image = Image.alpha_composite(white, rgba)
    return _widened(image if image.mode == "RGB" else image.convert("RGB"))


def _widened(image: Image.Image) -> Picture:
    """Encoders scale the short side to their size: one pixel by 30,000 would become gigabytes."""
    short, long = sorted(image.size)
    if long <= _THINNEST * short:
        return image
    if long > _LONGEST_THIN:
        scale = _LONGEST_THIN / long
        image = image.resize([max(1, round(side * scale)) for side in image.size])
    width, height = image.size
    least = -(-max(width, height) // _THINNEST)
    return ImageOps.pad(image, (max(width, least), max(height, least)), color="white")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Sixteen-bit and float scans by their own range, where convert() would clip them to white."""
    wide = image.convert("F")
    low, high = cast("tuple[float, float]", wide.getextrema())
    scale = 255.0 / (high - low) if high > low else 1.0
    return wide.point(lambda value: value * scale - low * scale).convert("L")


def half_blocks(picture: Picture, columns: int, rows: int) -> str:
    """The picture for a terminal of 24-bit colour, in at most so many cells: each is an upper
    half block, its own colour above and the cell's background below."""
    small = picture.copy()
    small.thumbnail((columns, 2 * rows))
    data, width = small.tobytes(), 3 * small.width  # RGB, row by row
    lines = []
    for top in range(0, small.height // 2 * 2 * width, 2 * width):
        above = range(top, top + width, 3)
        lines.append("".join(_cell(data, i, i + width) for i in above) + "\x1b[0m")
    return "\n".join(lines)


def _cell(data: bytes, above: int, below: int) -> str:
    fore, back = (";".join(map(str, data[i : i + 3])) for i in (above, below))
    return f"\x1b[38;2;{fore}m\x1b[48;2;{back}m▀"
