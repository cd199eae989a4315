"""The sentence that says it, where a question asks nothing and names what it is after.

"Prairie Lantern", "LK 7719": there is no question to answer, and a small model makes one up.
Whoever types such words wants the place where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragvis.composer import Composed, PromptSpec, from_outside, opened, sentences
from ragvis.retriever import Request
from ragvis.store.normalize import normalize
from ragvis.store.words import content, missing
from ragvis.types import Hit

_LEAST = 0.5  # score of what is quoted: more likely than not what was meant
_LONGEST = 400  # characters
# A line of a page or a letter ends anywhere; a short one is a row, or an item of a list
_SAME_SENTENCE = re.compile(r"(?<=[^\n]{60})(?<![.!?:])\n(?=\w)|\n(?=[a-z(])")
_MARK = re.compile(r"^(?:[#*•-]+\s+)+")
_QUOTES = str.maketrans("“”", "‘’")
_TASK = re.compile(
    r"\W*(?:please\s+)?(?:tell|give|explain|list|describe|summari[sz]e|compare|translate|write)\b",
    re.I,
)


def quoting(composed: Composed, hits: Sequence[Hit], question: str, spec: PromptSpec) -> Composed:
    """With an answer that begins with a sentence which has the words of the question, where this
    is a name, and no picture fits it better."""
    if not content(question) or not Request.of(question).names or _TASK.match(question):
        return composed
    least = max([_LEAST, *(hit.score for hit in hits if hit.modality == "image")])
    numbers = {s.hit.id: s.n for s in composed.sources if s.placed == "text"}
    for hit in hits:
        if hit.id in numbers and hit.score >= least and (said := _saying(question, hit, spec)):
            return opened(composed, spec, f"“{said}” [{numbers[hit.id]}].")
    return composed


def _saying(question: str, hit: Hit, spec: PromptSpec) -> str:
    """The first sentence with the question's words, some of which its titles may say instead; ""
    where there is none that says more than they do."""
    words, titles = content(question), (hit.title, hit.section)
    headings = {" ".join(normalize(title).split()) for title in titles}
    text = _SAME_SENTENCE.sub(" ", hit.text or "")
    for start, end in sentences(text):
        said = _bare(text[start:end], spec)
        tells = normalize(said) not in headings and missing(content(said), question)
        unsaid = missing(words, said)
        fits = len(unsaid) < len(words) and not missing(unsaid, " ".join(titles))
        if tells and fits and len(said) <= _LONGEST:
            return said
    return ""


def _bare(sentence: str, spec: PromptSpec) -> str:
    """As it may stand in an answer: it can neither cite nor end its own quotation marks."""
    plain = from_outside(sentence, spec)
    return _MARK.sub("", plain).replace("**", "").translate(_QUOTES).rstrip(".")
