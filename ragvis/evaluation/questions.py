"""Questions with known sources and answers, one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragvis._files import check_keys, read_json_lines, strings
from ragvis.documents import kind_of
from ragvis.errors import UsageError
from ragvis.types import Hit, Modality

_KEYS = ("id", "question", "images", "relevant", "answer", "answerable")
_SHAPE = 'One object a line: {"id", "question", "images"?, "relevant", "answer"?, "answerable"}.'


@dataclass(frozen=True, slots=True)
class Target:
    """What should be found: a file, a page of it (``path#page=3``), a picture in it
    (``path#picture``), or both (``path#page=3&picture``)."""

    path: str
    page: int | None = None
    picture: bool = False

    @classmethod
    def parse(cls, text: str) -> Target:
        """Raises:
        ValueError: a fragment that says something else.
        """
        path, _, fragment = text.partition("#")
        page, picture = None, False
        for part in filter(None, fragment.split("&")):
            if part == "picture":
                picture = True
            elif part.startswith("page="):
                page = int(part.removeprefix("page="))
            else:
                raise ValueError(f"unknown part {part!r} of {text!r}")
        return cls(path.replace("\\", "/"), page, picture)

    @property
    def modality(self) -> Modality:
        """What kind of hit it wants."""
        return "image" if self.picture or kind_of(Path(self.path)) == "picture" else "text"

    def matches(self, hit: Hit) -> bool:
        """Whether a hit is it: by the end of one of its file's paths, in whole parts."""
        place = self.is_at(hit.page, hit.modality)
        return place and any(map(self.names, (hit.file, *hit.paths, hit.path)))

    def is_at(self, page: int | None, modality: Modality) -> bool:
        """Whether it may be on a page of its file, or be a picture there."""
        return self.page in (None, page) and (not self.picture or modality == "image")

    def names(self, path: str) -> bool:
        """Whether a file's path ends in this one, in whole parts."""
        return f"/{path}".replace("\\", "/").endswith(f"/{self.path}")


@dataclass(frozen=True, slots=True)
class Question:
    """One line.

    Attributes:
        images: pictures that come with it, as files.
        relevant: what should be found.
        answers: strings of which a right answer holds one.
        answerable: whether the collection answers it.
    """

    id: str
    text: str
    images: tuple[Path, ...]
    relevant: tuple[Target, ...]
    answers: tuple[str, ...]
    answerable: bool


def read_questions(file: str | Path) -> list[Question]:
    """The questions of a file; ``images`` are relative to it.

    Raises:
        UsageError: the file cannot be read, or a line is not a question (its number is named).
    """
    file = Path(file)
    found = read_json_lines(file, lambda _, row: _parsed(file.parent, row), _SHAPE)
    if not found:
        raise UsageError(f"{file} holds no questions", _SHAPE)
    return found


def _parsed(folder: Path, row: dict[str, Any]) -> Question:
    check_keys(row, _KEYS)
    lists = {name: strings(row, name) for name in ("images", "relevant", "answer")}
    if not isinstance(row["question"], str) or not isinstance(row["answerable"], bool):
        raise ValueError("question is a string, answerable is true or false")
    if row["answerable"] and not lists["relevant"]:
        raise ValueError("it is answerable, and names nothing relevant")
    return Question(
        str(row["id"]),
        row["question"],
        tuple(folder / name for name in lists["images"]),
        tuple(Target.parse(text) for text in lists["relevant"]),
        tuple(lists["answer"]),
        row["answerable"],
    )
