"""Numbers of any range as grey levels: 16-bit scans, heights, measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLE = 2**20  # numbers that the range is taken from
_AT_ONCE = 2**22  # numbers that are brought to levels together
_CENTRE = (0.001, 0.999)  # of the sorted numbers, where those at the ends leave one grey level
_HUGE = 1e20  # floats beyond it stand for none


def grey_levels(values: NDArray[Any], nodata: float | None = None) -> NDArray[Any]:
    """(h, w) or (h, w, bands) numbers as uint8 of that shape: the lowest black, the highest white.

    What is no number, or stands for none, is left out of the range and white, as what is
    transparent: NaN, infinity, ``nodata``; and where it lies far from all others, an end of the
    numbers' type, or a row of nines.
    """
    import numpy as np

    if values.dtype == np.uint8:  # made to be looked at
        return values
    sample = values.reshape(-1)[:: max(1, values.size // _SAMPLE)]
    low, high = _range(sample[_is_known(sample, nodata)])
    scale = 255.0 / (high - low) if high > low else 1.0
    levels = np.empty(values.shape, np.uint8)
    rows = max(1, _AT_ONCE // max(1, values[:1].size))
    for top in range(0, len(values), rows):
        block = values[top : top + rows]
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.clip((block.astype(np.float64) - low) * scale, 0, 255).round()
        scaled[~_is_known(block, nodata)] = 255
        levels[top : top + rows] = scaled
    return levels


def _is_known(values: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    import numpy as np

    known: NDArray[Any] = np.isfinite(values)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            known &= np.abs(values) < np.asarray(_HUGE).astype(values.dtype)
            if nodata is not None:
                known &= values != np.asarray(nodata).astype(values.dtype)
    elif nodata is not None and nodata == nodata // 1:
        ends = np.iinfo(values.dtype)
        if ends.min <= nodata <= ends.max:
            known &= values != int(nodata)
    return known


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest that are to be told apart."""
    import numpy as np

    if not values.size:
        return 0.0, 1.0
    limits = _limits(values.dtype)
    found = np.sort(values)
    found = found[_markers(found, limits) :]
    found = -found[::-1].astype(np.float64)
    found = -found[_markers(found, [-limit for limit in limits]) :][::-1]
    low, high = float(found[0]), float(found[-1])
    centre_low, centre_high = (float(found[int(part * (len(found) - 1))]) for part in _CENTRE)
    if 0 < centre_high - centre_low < (high - low) / 255:
        return centre_low, centre_high
    return low, high


def _markers(found: NDArray[Any], limits: list[float]) -> int:
    """How many of the lowest numbers are markers for no number."""
    import numpy as np

    lowest = float(found[0])
    after = int(np.searchsorted(found, found[0], "right"))
    if after == len(found) or not _is_marker(lowest, limits):
        return 0
    gap, spread = float(found[after]) - lowest, float(found[-1]) - float(found[after])
    return after if gap > spread > 0 else 0


def _is_marker(value: float, limits: list[float]) -> bool:
    """Whether it is what people write where they have no number: -9999, -32768, 65535."""
    digits = str(int(abs(value)))
    return value in limits or (value == int(value) and len(digits) > 2 and set(digits) == {"9"})


def _limits(dtype: Any) -> list[float]:
    """The ends of a type that are markers; 0 is black."""
    import numpy as np

    if dtype.kind == "f":
        return []
    ends = np.iinfo(dtype)
    below = [float(ends.min), float(ends.min + 1)] if dtype.kind == "i" else []
    return [*below, float(ends.max)]
