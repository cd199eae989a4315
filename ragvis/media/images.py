"""The one module that knows PIL: untrusted bytes in, upright RGB pictures out."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from PIL import Image, ImageOps, UnidentifiedImageError

from ragvis.errors import BadFile
from ragvis.media import tiff
from ragvis.media.deep import grey_levels
from ragvis.media.fit import Fit
from ragvis.media.formats import HEAD, format_of

Picture: TypeAlias = Image.Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
_THINNEST = 10  # long side over short side
_LONGEST_THIN = 4096  # pixels
_DRAFT = 1.75  # times the wanted size, at least
_ORIENTATION, _TURNED = 0x0112, 5  # EXIF; from 5 on, width and height change places
_ANIMATED = ("GIF", "WEBP", "PNG")
_FRAMES_TRIED = 32  # of an animation, until one shows something
_CONTRAST = 8  # of 255: a picture with less shows nothing
_OPAQUE = 255
MAX_FRAMES = tiff.MAX_PAGES  # read from one multi-page TIFF


def open_picture(source: Path | bytes, frame: int = 0, fit: Fit | None = None) -> Picture:
    """Decode one picture: upright by its EXIF, transparency on white, mode RGB.

    Args:
        source: a file, or its bytes.
        frame: which page of a multi-page TIFF; other formats have one.
        fit: what it will be brought to: a JPEG is decoded at no more than is needed for that.

    Raises:
        BadFile: not a picture of the allowed formats, broken, or over Pillow's bomb limit.
    """
    bands = _bands(source, frame)
    if bands is not None:
        return _widened(bands)
    with _decoding(source) as image:
        if frame:
            image.seek(frame)
        elif image.format in _ANIMATED:
            _seek_shown(image)
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


def _seek_shown(image: Image.Image) -> None:
    """Go to the first frame of an animation that shows anything: many begin clear or black."""
    if image.format != "GIF" and not getattr(image, "is_animated", False):
        return  # to ask it of a GIF is to read all of it
    with suppress(EOFError, OSError, SyntaxError, ValueError):
        for frame in range(_FRAMES_TRIED):
            image.seek(frame)
            if contrast(_rgb(image)) >= _CONTRAST:
                return
    image.seek(0)


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
    with _as_bad_file(source), _tiff_pages(source) as (_, pages):
        if pages and not pages[0].is_for_pillow:
            return len(pages)
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
    with _as_bad_file(source), warnings.catch_warnings():
        # Pillow warns at half of the size that it refuses, and about odd metadata.
        warnings.simplefilter("ignore")
        with Image.open(stream, formats=FORMATS) as image:
            yield image


@contextmanager
def _as_bad_file(source: Path | bytes = b"") -> Iterator[None]:
    try:
        yield
    except BadFile:
        raise
    # Decoders of hostile bytes raise whatever they stumble over, SyntaxError included.
    except Exception as error:
        if isinstance(error, UnidentifiedImageError):
            raise _unknown(source) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadFile(reason) from error


def _unknown(source: Path | bytes) -> BadFile:
    """Says what a file is that Pillow does not know."""
    with _opened(source) as file:
        head = file.read(HEAD)
        file.seek(0)
        page = next(tiff.pages(file), None)
    if page is not None:
        return BadFile(
            f"it is {page}, which is not read", "Save it as PNG, or uncompressed, first."
        )
    found = format_of(head)
    if found is None:
        return BadFile("not a picture of a known format")
    return BadFile(f"it is {found.name}, not a picture of a format that is read", found.advice)


def upright_rgb(image: Image.Image) -> Picture:
    """Turned by its EXIF, transparency on white, mode RGB, never thinner than 1:10."""
    return _rgb(ImageOps.exif_transpose(image))


def _rgb(image: Image.Image) -> Picture:
    """The same of a picture that is upright, which may be what is returned."""
    if image.mode.startswith(("I", "F")):
        image = _eight_bit(image)
    if "A" in image.getbands() or "transparency" in image.info:
        image = _on_ground(image.convert("RGBA"))
    return _widened(image if image.mode == "RGB" else image.convert("RGB"))


def _on_ground(image: Image.Image) -> Picture:
    """A picture on white; on black if all of it that can be seen is white."""
    lowest, _ = cast("tuple[int, int]", image.getchannel("A").getextrema())
    if lowest == _OPAQUE:
        return image.convert("RGB")
    on_white = _composed(image, "white")
    if contrast(on_white) >= _CONTRAST:
        return on_white
    on_black = _composed(image, "black")
    return on_black if contrast(on_black) >= _CONTRAST else on_white


def _composed(image: Picture, ground: str) -> Picture:
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")


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
    import numpy as np

    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode == "I" and tags.get(tiff.BITS) == (16,):
        values = values.astype(np.int16)  # as it is stored, for the ends of its range
    levels = grey_levels(values, tiff.number(tags.get(tiff.NODATA)))
    return Image.fromarray(levels)


def _bands(source: Path | bytes, frame: int) -> Picture | None:
    """A page of a TIFF that Pillow does not read: in colour if it has bands for that."""
    with _as_bad_file(source), _tiff_pages(source) as (file, pages):
        if frame >= len(pages) or pages[frame].is_for_pillow:
            return None
        page = pages[frame]
        values = tiff.pixels(file, page)[..., : 3 if page.bands > 2 else 1]
        if page.is_rgb:  # one range for all, or their colours would change
            levels = grey_levels(values, page.nodata)
            bands = [levels[..., n] for n in range(levels.shape[-1])]
        else:
            bands = [grey_levels(values[..., n], page.nodata) for n in range(values.shape[-1])]
        pictures = [Image.fromarray(255 - band if page.is_inverted else band) for band in bands]
        return Image.merge("RGB", pictures if len(pictures) == 3 else pictures * 3)


@contextmanager
def _tiff_pages(source: Path | bytes) -> Iterator[tuple[BinaryIO, list[tiff.Page]]]:
    with _opened(source) as file:
        yield file, list(tiff.pages(file))


def _opened(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def contrast(picture: Picture) -> int:
    """Between the darkest and the lightest pixel, in the colour where that is most: 0 to 255."""
    extrema = cast("Sequence[tuple[int, int]]", picture.convert("RGB").getextrema())
    return max(high - low for low, high in extrema)


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
