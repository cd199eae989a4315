"""Pictures of odd kinds: numbers of any range, animations, and formats that are not read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiff_files import DIFFERENCES, FLOATING, tiff

from ragvis.documents import read
from ragvis.errors import BadFile, UsageError
from ragvis.media import tiff as tiffs
from ragvis.media.deep import grey_levels
from ragvis.media.images import open_picture
from ragvis.media.source import load_picture

CASES = Path(__file__).parent / "cases"
SLOPE = np.add.outer(np.arange(64), np.arange(64))  # 0 to 126


def levels(data: bytes | Path, band: int = 0) -> Any:
    return np.asarray(open_picture(data))[..., band].astype(int)


def is_slope(found: Any, where: Any = True) -> bool:
    """Whether these are the grey levels of the slope, from black to white."""
    apart = abs(found - SLOPE * 255 / 126)
    return bool((apart[np.broadcast_to(where, SLOPE.shape)] < 3).all())


# --- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nan_corner", "nodata", "whole"])
def test_numbers_that_stand_for_none_do_not_take_the_range(name: str) -> None:
    (figure,) = read(CASES / "tiff_nan" / f"{name}.tif").figures
    assert len(np.unique(np.asarray(figure.open()))) > 60


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_one_band_of_every_kind(kind: str, order: str) -> None:
    values = (SLOPE - (63 if kind[0] != "u" else 0)).astype(kind)
    assert is_slope(levels(tiff(values, order=order)))
    assert is_slope(255 - levels(tiff(values, order=order, white_is_zero=True)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("bands", [2, 3, 5])
@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "f4", "f8"])
def test_several_bands(kind: str, bands: int, planes: bool, order: str) -> None:
    values = np.stack([SLOPE * (n + 1) for n in range(bands)], -1).astype(kind)
    data = tiff(values, planes=planes, order=order)
    assert all(is_slope(levels(data, n)) for n in range(3))


def test_colours_share_one_range() -> None:
    values = np.stack([SLOPE * 4, SLOPE * 2, SLOPE], -1).astype("f4")
    picture = open_picture(tiff(values, rgb=True))
    red, green, blue = picture.getpixel((63, 63))
    assert (red, round(red / green), round(red / blue)) == (255, 2, 4)


MARKERS: list[tuple[str, float, str | None]] = [
    ("f4", np.nan, None),
    ("f4", np.inf, None),
    ("f4", -np.inf, None),
    ("f8", -3.4028234663852886e38, None),
    ("f4", -3.4028234663852886e38, "-3.4028234663852886e+38"),
    ("f4", -9999, None),
    ("f4", 50, "50"),
    ("i2", -32768, None),
    ("i2", -9999, None),
    ("i2", 32767, None),
    ("u2", 65535, None),
    ("u2", 50, "50"),
    ("i4", -2147483648, None),
    ("u4", 4294967295, None),
    ("f2", -9999, "-9999"),
    ("u2", 0, "-9999"),
    ("u2", 0, "nan"),
    ("u2", 0, "none"),
]


@pytest.mark.parametrize(("kind", "marker", "nodata"), MARKERS)
def test_markers_of_no_number(kind: str, marker: float, nodata: str | None) -> None:
    values = SLOPE.astype(kind)
    hole = np.zeros(SLOPE.shape, bool)
    hole[20:50, 20:50] = True  # neither the lowest nor the highest of the slope
    values[hole] = marker
    hole |= values == marker
    assert is_slope(levels(tiff(values, nodata=nodata)), ~hole)


def test_what_is_no_number_is_white_as_the_transparent_is() -> None:
    values = SLOPE.astype("f4")
    values[0, :5] = np.nan
    assert set(levels(tiff(values))[0, :5]) == {255}


def test_one_number_out_of_all_range_leaves_the_others_apart() -> None:
    values = SLOPE.astype("f8")
    values[0, 0] = 1e9
    assert len(np.unique(levels(tiff(values)))) > 60


def test_two_levels_stay_two() -> None:
    """Black ink on white paper: 65535 is no marker here."""
    values = np.where(SLOPE < 60, 0, 65535).astype("u2")
    assert set(np.unique(levels(tiff(values)))) == {0, 255}
    grain = np.random.default_rng(0).integers(60_000, 65_000, SLOPE.shape)
    paper = levels(tiff(np.where(SLOPE < 10, 0, grain).astype("u2")))
    assert paper[SLOPE >= 10].min() > 200


def test_all_of_it_unknown_is_white() -> None:
    assert set(np.unique(levels(tiff(np.full((9, 9), np.nan, "f4"))))) == {255}


@given(
    values=st.lists(
        st.floats(width=32) | st.sampled_from([-9999.0, np.inf, np.nan]), min_size=1, max_size=30
    ),
    nodata=st.none() | st.floats(),
)
def test_any_floats_have_levels_in_their_order(values: list[float], nodata: float | None) -> None:
    numbers = np.array([values], np.float32)
    found = grey_levels(numbers, nodata)
    assert found.shape == numbers.shape and found.dtype == np.uint8
    known = np.isfinite(numbers) & (abs(numbers) < 1e20)
    if nodata is not None:
        known &= numbers != np.float32(min(max(nodata, -3e38), 3e38)) if nodata == nodata else known
    order = np.argsort(numbers[known], kind="stable")
    assert (np.diff(found[known][order].astype(int)) >= 0).all()


STORED = [
    ("u2", DIFFERENCES, 16),
    ("i4", DIFFERENCES, 0),
    ("f4", FLOATING, 16),
    ("f8", FLOATING, 0),
    ("f2", FLOATING, 32),
    ("f8", 1, 48),
]


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "predictor", "tile"), STORED)
def test_packed_pages_are_unpacked(
    kind: str, predictor: int, tile: int, order: str, planes: bool
) -> None:
    rng = np.random.default_rng(1)
    values = (rng.random((50, 70, 2)) * 1000).astype(kind)
    data = tiff(values, packed=True, predictor=predictor, tile=tile, order=order, planes=planes)
    (page,) = tiffs.pages(io.BytesIO(data))
    assert np.array_equal(tiffs.pixels(io.BytesIO(data), page), values)


def test_broken_tiffs_are_bad_files() -> None:
    whole = tiff(np.zeros((40, 40, 2), "f8"), packed=True, tile=16)
    for end in range(0, len(whole) - 8, 7):  # a checksum may be missing
        with pytest.raises(BadFile):
            open_picture(whole[:end])
    for place in range(8, 200):
        data = bytearray(whole)
        data[place] ^= 0xFF
        try:
            open_picture(bytes(data))
        except BadFile as error:
            assert "\n" not in str(error)


def test_a_page_of_untold_size_takes_no_memory() -> None:
    data = bytearray(tiff(np.zeros((4, 4), "f8")))
    for tag in (256, 257):  # width and height
        at = data.index(tag.to_bytes(2, "little") + b"\4\0\1\0\0\0") + 8
        data[at : at + 4] = (10**6).to_bytes(4, "little")
    with pytest.raises(BadFile, match="1000000 x 1000000 pixels"):
        open_picture(bytes(data))


# --- animations and transparency --------------------------------------------------------------


def animation(kind: str, *colours: str) -> bytes:
    frames = [Image.new("RGBA", (40, 30), colour) for colour in colours]
    for n, frame in enumerate(frames[1:], 1):
        frame.paste("red" if colours[n] != "#0000" else "#0000", (10, 10, 20, 20))
    out = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"disposal": 2} if kind == "GIF" else {}
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=50, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("first", ["#0000", "black", "white"])
def test_the_first_frame_that_shows_something(kind: str, first: str) -> None:
    picture = open_picture(animation(kind, first, first.replace("white", "#fffe"), "blue"))
    assert picture.size == (40, 30)
    red, green, blue = picture.getpixel((15, 15))
    assert red > 200 and green < 60 and blue < 60


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_that_shows_at_once_is_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("blue", "red")]
    frames[0].paste("lime", (0, 0, 20, 30))
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    picture = open_picture(out.getvalue())
    assert picture.getpixel((35, 5))[2] > 200


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_an_animation_of_nothing_is_nothing(kind: str) -> None:
    many = [Image.new("L", (8, 8), n % 2) for n in range(60)]  # a GIF of equal frames has one
    out = io.BytesIO()
    many[0].save(out, kind, save_all=True, append_images=many[1:])
    assert open_picture(out.getvalue()).size == (8, 8)


def test_white_on_nothing_can_be_seen() -> None:
    sign = Image.new("RGBA", (40, 40), "#fff0")
    sign.paste("white", (10, 10, 30, 30))
    out = io.BytesIO()
    sign.save(out, "PNG")
    picture = open_picture(out.getvalue())
    assert (picture.getpixel((0, 0)), picture.getpixel((20, 20))) == ((0,) * 3, (255,) * 3)


# --- formats ----------------------------------------------------------------------------------

HEADS = [
    (b"\0\0\0\x18ftypheic", "HEIC"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
    (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "HEIF"),
    (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
    (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41", "video"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a\xfa\x1f", "JPEG XL"),
    (b"8BPS\0\1\0\0\0\0\0\0\0\3", "Photoshop"),
    (b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
    (b"%PDF-1.7\n", "PDF"),
    (b"PK\3\4\x14\0\0\0", "office document"),
    (b"P6 8 8 255\n", "PPM"),
    (b"<!DOCTYPE html><p>", "web page"),
    (b"FUJIFILMCCD-RAW 0201", "RAF"),
]


@pytest.mark.parametrize(("head", "name"), HEADS)
def test_a_format_that_is_not_read_is_named(tmp_path: Path, head: bytes, name: str) -> None:
    data = head + bytes(100)
    file = tmp_path / "x.jpg"
    file.write_bytes(data)
    for source in (data, file):
        with pytest.raises(UsageError, match=name) as caught:
            load_picture(source)
        assert caught.value.hint and "Give a jpeg" not in caught.value.hint
    with pytest.raises(BadFile, match=f"{name}.*not a picture of a format that is read"):
        open_picture(file)


def test_a_photo_of_a_phone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"IMG_1.heic cannot be opened: it is HEIC") as caught:
        load_picture(CASES / "unsupported_silent" / "IMG_1.heic")
    assert "heif-convert" in caught.value.hint
    with pytest.raises(UsageError, match="known format") as caught:
        load_picture(b"nothing known")
    assert "jpeg, png" in caught.value.hint


def test_a_tiff_that_is_not_read_says_how_it_is_made() -> None:
    data = bytearray(tiff(np.zeros((4, 4, 2), "f8")))
    at = data.index((259).to_bytes(2, "little")) + 8
    data[at] = 5
    with pytest.raises(BadFile, match="2 x 64 bits, compressed by method 5") as caught:
        open_picture(bytes(data))
    assert caught.value.hint


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "pjpeg", "pjp", "dib", "apng"])
def test_other_names_of_formats_that_are_read(tmp_path: Path, suffix: str) -> None:
    format_ = {"dib": "DIB", "apng": "PNG"}.get(suffix, "JPEG")
    Image.new("RGB", (20, 20), "blue").save(tmp_path / f"a.{suffix}", format_)
    (figure,) = read(tmp_path / f"a.{suffix}").figures
    assert figure.open().getpixel((5, 5))[2] > 200
    assert read(CASES / "unsupported_silent" / "photo.jfif").figures[0].open()
