"""The sentence that says it, where a question asks nothing and names what it is after.

"Prairie Lantern", "LK 7719": there is no question to answer, and a small model makes one up.
Whoever types such words wants the place where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ragvis.composer import Composed, PromptSpec, neutral, opened, sentences, without_citations
from ragvis.retriever import Request
from ragvis.store.words import content_words
from ragvis.types import Hit

_LEAST = 0.5  # score of what is quoted: more likely than not what was meant
_LONGEST = 400  # characters
_SAME_SENTENCE = re.compile(r"\n(?=[a-z(])")  # a line of a page or a letter ends anywhere


def quoting(composed: Composed, hits: Sequence[Hit], question: str, spec: PromptSpec) -> Composed:
    """With an answer that begins with a sentence which has all the words of the question, where
    this is a name, and no picture fits it better."""
    words = set(content_words(question))
    if not words or not Request.of(question).names:
        return composed
    least = max([_LEAST, *(hit.score for hit in hits if hit.modality == "image")])
    numbers = {s.hit.id: s.n for s in composed.turn.sources if s.placed == "text"}
    for hit in hits:
        if hit.id in numbers and hit.score >= least and (said := _saying(words, hit)):
            return opened(composed, spec, f"“{neutral(said, spec.markers)}” [{numbers[hit.id]}].")
    return composed


def _saying(words: set[str], hit: Hit) -> str:
    """The first sentence with all these words, those of its titles taken as said; "" where there
    is none that says more than they do."""
    titles = (hit.title, hit.section)
    headings = {" ".join(title.split()).casefold() for title in titles}
    known = set(content_words(" ".join(titles)))
    text = _SAME_SENTENCE.sub(" ", hit.text or "")
    for start, end in sentences(text):
        bare = without_citations(text[start:end]).replace("**", "")
        said = " ".join(bare.split()).lstrip("#*-• ").rstrip(".")
        own = set(content_words(said))
        tells = said.casefold() not in headings and own - words and len(said) <= _LONGEST
        if tells and words <= own | known:
            return said
    return ""
