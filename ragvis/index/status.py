"""What an index holds, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What an index holds."""

    path: str
    encoder: str
    fingerprint: str
    generation: int
    files: int
    bad_files: int
    passages: int
    images: int
    bytes: int
    features: dict[str, int]  # pictures stored as a model sees them, by its name
    errors: dict[str, str]  # file as given -> why it could not be read

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``ragvis status``."""
        return asdict(self)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder that a writer may be working in."""
    total = 0
    for file in folder.iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total
