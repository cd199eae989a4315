"""Picture files: one figure, or one a page for a multi-page TIFF."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ragvis.documents.model import Document, Figure, title_from_name
from ragvis.media import images


def read(path: Path) -> Document:
    """The picture file as a document without text."""
    frames = images.frame_count(path)
    figures = tuple(
        Figure(i, partial(images.open_picture, path, i), page=i + 1 if frames > 1 else None)
        for i in range(frames)
    )
    return Document(title_from_name(path), figures=figures)
