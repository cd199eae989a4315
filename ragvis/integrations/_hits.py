"""What every integration says of a hit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragvis.types import Hit

_KEYS = (
    *("id", "modality", "path", "file", "title", "section", "page", "span", "bbox", "ordinal"),
    *("sha256", "score", "paths", "duplicates", "looks_like", "metadata"),
)


def metadata(hit: Hit) -> dict[str, Any]:
    """Where a hit comes from, as values of JSON."""
    whole: Mapping[str, Any] = hit.to_dict()
    return {key: whole[key] for key in _KEYS}


def unique_id(hit: Hit) -> str:
    """Also beside the hits of another index."""
    return f"{hit.sha256}-{hit.id}"


def content(hit: Hit) -> str:
    """A passage; for a picture what is written about it, or what it looks like."""
    if hit.modality == "text":
        return hit.text or ""
    said = dict.fromkeys(filter(None, (hit.title, hit.section, hit.text, hit.looks_like)))
    return f"[picture {hit.name}] " + ". ".join(said)
