"""A question about a photo, asked of what the photo shows. In English only; others stay as they
are, and so does whatever might mean something else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_PHOTO = r"(?:picture|photo|photograph|image|pic)"
_MEANT = re.compile(
    rf"\bthis\s+(?:(?:big|large|little|old|small|young)\s+)?(?P<this>[^\W\d_]+)(?!\s+of\b)\b"
    rf"(?:\s+(?:in|on)\s+(?:the|this|my)\s+{_PHOTO}\b)?"
    r"|\bthe\s+(?P<the>[^\W\d_]+)\s+(?:(?:that\s+is\s+)?(?:shown|pictured)\b(?:\s+here\b)?"
    rf"|(?:in|on)\s+(?:the|this|my)\s+{_PHOTO}\b)",
    re.IGNORECASE,
)
# Said of whatever a photo shows; another noun has to be the name's own
_ANYTHING = set(
    "animal building creature device landmark machine monument object one place planet thing "
    "tool".split()
)
_LANDS = {"country", "land", "nation"}
_FLAG = re.compile(r"(?:(?:a|the)\s+)?flag\s+of\s+(?P<land>.+)", re.IGNORECASE)
# "What kind of bird is this animal?", "Is this animal a koala?"
_WHAT_IS = re.compile(r"\W*(?:what|who|which)\b.*\b(?:is|are|was|were)\s+$", re.I | re.S)
_IS = re.compile(r"\b(?:is|are|was|were)\s+$", re.IGNORECASE)
_SOMETHING = re.compile(r"\s+(?:(?:an?|the)\b|(?-i:[A-Z]))", re.IGNORECASE)
_ASKS_FOR_NAME = re.compile(r"\b(?:names?|named|called)\b|^\W*(?:identify|recogni[sz]e)\b", re.I)
# Behind "this animal" stands a verb where the question has one of these, else maybe "shelter"
_HELPED = re.compile(
    r"\b(?:do|does|did|has|had|can|could|will|would|may|might|must|should|shall|is|was)\b", re.I
)
_ENDS = re.compile(
    r"\W*$|['’]s\b|\s*[,;.?!]|\s+(?:about|after|and|at|away|back|before|behind|by|for|from|had|has|"
    r"here|in|is|of|off|on|or|out|to|up|was|when|while|with|without)\b",
    re.IGNORECASE,
)
_LONGEST = 60  # characters of a name; longer captions tell what happens
_DATE = re.compile(r"^\d{4}[\W\d_]+")  # at the beginning of a file's name
_NAME = re.compile(r"(?:(?:an?|the) )?([\w'’-]+(?: [\w'’-]+){0,4}(?:, the [\w'’-]+)?)", re.I)
_NO_NAME = re.compile(
    r"\b(?:an?|and|are|at|by|for|from|in|is|my|on|or|our|to|was|we|with)\b|\s\w+ing\b|\d{4}", re.I
)


def named(question: str, name: str, texts: Sequence[str] = ()) -> str:
    """The question with a photo's name where it says "this animal" or "the tool in the picture".

    As it was where there is no name, or what looks like a sentence; where the name is what is asked
    for, or what the photo is; and where it asks about something else than what has the name.

    Args:
        texts: the sources. The name is put as they write it.
    """
    name, meant = _plain(name), _MEANT.search(question)
    if not name or meant is None or name.casefold() in question.casefold():
        return question
    before, after = question[: meant.start()], question[meant.end() :]
    said = _as_said((meant["this"] or meant["the"]).lower(), name)
    is_what = _WHAT_IS.match(before) and not re.search(r"\w", after)
    is_it = _IS.search(before) and _SOMETHING.match(after)
    if not said or is_what or is_it or _ASKS_FOR_NAME.search(question):
        return question
    if not (_ENDS.match(after) or _HELPED.search(before)):
        return question
    return before + _as_written(said, texts) + after


def _plain(name: str) -> str:
    """Without a date before it or an article; "" where it is more than a name."""
    if len(name) > _LONGEST:
        return ""
    found = _NAME.fullmatch(_DATE.sub("", " ".join(name.split())))
    return found[1] if found and not _NO_NAME.search(found[1]) else ""


def _as_said(noun: str, name: str) -> str:
    """The name of such a thing; "" where it is another's."""
    flag = _FLAG.fullmatch(name)
    if noun in _LANDS:
        return flag["land"] if flag else ""
    kind, _, rest = name.partition(" ")
    if rest and noun in _ANYTHING and noun == kind.lower():  # animal-panda.jpg
        return rest
    heads = {part.split()[-1].lower() for part in re.split(r",| of ", name) if part.split()}
    return name if noun in _ANYTHING or noun in heads else ""


def _as_written(name: str, texts: Sequence[str]) -> str:
    short, _, more = name.partition(", the ")  # "Rufus, the dog"
    for part in (name, short) if more else (name,):
        words = r"\s+".join(map(re.escape, part.split()))
        known = re.compile(rf"\b(?:the\s+)?{words}(?!\w)", re.IGNORECASE)
        found = Counter(re.sub("^The ", "the ", m) for text in texts for m in known.findall(text))
        if found:
            return " ".join(found.most_common(1)[0][0].split())
    return name
