"""Pictures reach the encoder as open_clip's own preprocessing would bring them there."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DEMO
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from ragvis.media.fit import Fit, Mode
from ragvis.media.images import fitted, open_picture

PHOTO = DEMO / "images" / "photo-chelsea.jpg"
SIZES = [(451, 300), (300, 451), (97, 96), (20, 190), (64, 48), (31, 33), (640, 480), (300, 200)]


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(96, 96), (64, 112)])
def test_pixels_are_the_references(mode: Mode, interpolation: str, size: tuple[int, int]) -> None:
    about = PreprocessCfg(
        size=size,
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        interpolation=interpolation,
        resize_mode=mode,
        fill_color=77,
    )
    reference = image_transform_v2(about, is_train=False)
    bicubic = interpolation == "bicubic" or (mode == "shortest" and size[0] != size[1])
    fit = Fit(size[1], size[0], mode, bicubic, 77)
    with Image.open(PHOTO) as photo:
        for wide, high in SIZES:
            picture = photo.convert("RGB").resize((wide, high))
            ours = np.frombuffer(fitted(picture, fit), np.uint8).reshape(*size, 3)
            theirs = (reference(picture).permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
            apart = abs(ours.astype(int) - theirs)
            assert (apart > 1).mean() <= 0.001, (wide, high)
            assert apart.mean() < 0.25 and apart.max() < 10, (wide, high)


def large_jpeg(photo: Path, orientation: int = 1) -> bytes:
    """A real photograph at four times its size, with the grain of a sensor."""
    with Image.open(photo) as image:
        size = [4 * side for side in image.size]
        big = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    grain = np.random.default_rng(0).normal(0, 6, (big.height, big.width, 3))
    pixels = (np.asarray(big, np.float32) + grain).clip(0, 255).astype(np.uint8)
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_small_and_embedded_the_same(
    pocket_encoder: Any, orientation: int
) -> None:
    fit = pocket_encoder.fit
    photos = sorted((DEMO / "images").glob("photo-*.jpg"))
    jpegs = [large_jpeg(photo, orientation) for photo in photos]
    small = [open_picture(jpeg, fit=fit) for jpeg in jpegs]
    whole = [open_picture(jpeg) for jpeg in jpegs]
    for a, b in zip(small, whole, strict=True):
        assert 1.75 * fit.width <= min(a.size) < min(b.size)
        assert abs(a.width / a.height - b.width / b.height) < 0.02
    cosines = (pocket_encoder.encode_pictures(small) * pocket_encoder.encode_pictures(whole)).sum(1)
    assert cosines.min() >= 0.995
