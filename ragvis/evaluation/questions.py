"""Questions with known sources and answers, one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragvis.documents import kind_of
from ragvis.errors import UsageError
from ragvis.types import Hit, Modality

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
        if self.page not in (None, hit.page) or (self.picture and hit.modality != "image"):
            return False
        paths = (p.replace("\\", "/") for p in (hit.file, *hit.paths, hit.path))
        return any(f"/{p}".endswith(f"/{self.path}") for p in paths)


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
    try:
        lines = file.read_text("utf-8").split("\n")  # other line ends may stand in a JSON text
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}", _SHAPE) from error
    found = [_question(file, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"{file} holds no questions", _SHAPE)
    if len({q.id for q in found}) < len(found):
        raise UsageError(f"{file}: an id stands twice", "Give each question an id of its own.")
    return found


def _question(file: Path, number: int, line: str) -> Question:
    try:
        return _parsed(file.parent, json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{file}, line {number}: {why}", _SHAPE) from error


def _parsed(folder: Path, row: dict[str, Any]) -> Question:
    lists = {k: row.get(k) or [] for k in ("images", "relevant", "answer")}
    for name, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise ValueError(f"{name} is not a list of strings")
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
