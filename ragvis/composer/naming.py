"""A question about a photo, asked of what the photo shows. In English only; others stay as they
are."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PHOTO = r"(?:picture|photo|photograph|image|pic)"
_MEANT = re.compile(
    r"\b(?:this|that)\s+(?:(?:big|great|large|little|old|small|young)\s+)?(?P<this>[^\W\d_]+)"
    rf"(?:\s+(?:here|(?:in|on)\s+(?:the|this|my)\s+{_PHOTO}))?\b"
    r"|\bthe\s+(?P<the>[^\W\d_]+)\s+(?:(?:that\s+is\s+)?(?:shown|pictured)(?:\s+here)?"
    rf"|(?:in|on)\s+(?:the|this|my)\s+{_PHOTO})\b",
    re.IGNORECASE,
)
# Said of whatever a photo shows; of another noun it is to be seen in the name that it is right
_ANYTHING = set(
    "animal building country creature device item landmark land machine monument nation object one "
    "person place planet plant product site state thing tool".split()
)
_LANDS = {"country", "land", "nation", "state"}
_ASKS_FOR_NAME = re.compile(r"\b(?:names?|named|called)\b", re.IGNORECASE)
_LONGEST = 60  # characters of a name; longer captions tell what happens
_EDGES = re.compile(r"^[\W\d_]+|[\W\d_]+$")  # dates and numbers around a file's name


def named(question: str, name: str, texts: Iterable[str] = ()) -> str:
    """The question with a photo's name where it says "this animal" or "the tool in the picture".

    As it was where there is no name, or a long one; where the name is what is asked for, or the
    photo itself; and where it asks about something else than what has the name.

    Args:
        texts: the sources. The name is put as the first of them that has it writes it.
    """
    name = _EDGES.sub("", " ".join(name.split()))
    meant = _MEANT.search(question)
    if not 0 < len(name) <= _LONGEST or meant is None or _ASKS_FOR_NAME.search(question):
        return question
    noun = (meant["this"] or meant["the"]).lower()
    if noun not in _ANYTHING and not re.search(rf"\b{noun}\b", name, re.IGNORECASE):
        return question
    if noun in _LANDS:
        name = re.sub(r"^flag of\s+", "", name, flags=re.IGNORECASE)
    return question[: meant.start()] + _as_written(name, list(texts)) + question[meant.end() :]


def _as_written(name: str, texts: list[str]) -> str:
    for part in dict.fromkeys((name, name.partition(",")[0])):  # "Rufus, the dog"
        known = re.compile(rf"\b(?:the\s+)?{re.escape(part)}(?!\w)", re.IGNORECASE)
        found = next(filter(None, map(known.search, texts)), None)
        if found is not None:
            return re.sub("^The ", "the ", found[0])
    return name
