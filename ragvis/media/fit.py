"""How pictures are brought to the size that an encoder takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["shortest", "longest", "squash"]


@dataclass(frozen=True, slots=True)
class Fit:
    """An encoder's input, in the terms of open_clip's ``preprocess_cfg``."""

    width: int  # pixels
    height: int
    mode: Mode = "shortest"  # which side is brought to size; the rest is cropped or padded
    bicubic: bool = True  # else bilinear
    fill: int = 0  # grey level of what is padded

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture is resized to before it is cropped or padded. The roundings are
        torchvision's ``Resize`` and open_clip's ``ResizeKeepRatio``."""
        if self.mode == "squash":
            return self.width, self.height
        if self.mode == "shortest" and self.width == self.height:
            if width <= height:
                return self.width, int(self.width * height / width)
            return int(self.height * width / height), self.height
        ratios = (width / self.width, height / self.height)
        ratio = max(ratios) if self.mode == "longest" else min(ratios)
        return round(width / ratio), round(height / ratio)

    def crop(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the centre; negative where it is to be padded."""
        left, top = _start(width, self.width), _start(height, self.height)
        return left, top, left + self.width, top + self.height


def _start(size: int, wanted: int) -> int:
    # round() is torchvision's for a crop, // its for a pad
    return round((size - wanted) / 2.0) if size >= wanted else -((wanted - size) // 2)
