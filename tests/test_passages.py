"""Every character of a document is in exactly one passage, and no passage is too long."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from ragvis.documents.model import Heading, Page
from ragvis.documents.passages import Cutter


def count_words(texts: Sequence[str]) -> list[int]:
    """Words, long ones counted by the piece as sub-word tokenizers do."""
    return [sum(1 + len(w) // 8 for w in t.split()) for t in texts]


TEXTS = st.text(
    alphabet=st.sampled_from("ab cdé.!?;,\n\n -*#1. 。\u2028\t"), max_size=600
) | st.lists(
    st.sampled_from(["word", "A sentence ends. ", "\n\n", "- item\n", "x" * 90]), max_size=80
).map(" ".join)


def pages(text: str, cuts: list[int]) -> Page:
    starts = sorted({c % (len(text) + 1) for c in cuts})
    return Page(None, text, tuple(Heading(s, f"h{s}") for s in starts if s < len(text)))


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 600), max_size=4), st.integers(3, 40), st.integers(0, 20))
def test_spans_partition_the_text(text: str, cuts: list[int], limit: int, floor: int) -> None:
    page = pages(text, cuts)
    passages = Cutter(count_words, limit, floor).cut(page)
    covered = "".join(text[a:b] for a, b in (p.span for p in passages))
    assert [c for c in covered if not c.isspace()] == [c for c in text if not c.isspace()]
    spans = [p.span for p in passages]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
    for passage in passages:
        assert passage.text == text[slice(*passage.span)].strip()
        assert count_words([passage.text])[0] <= limit or len(passage.text) == 1


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 600), max_size=4))
def test_no_passage_crosses_a_heading(text: str, cuts: list[int]) -> None:
    page = pages(text, cuts)
    for passage in Cutter(count_words, 12).cut(page):
        inside = [h for h in page.headings if passage.span[0] < h.start < passage.span[1]]
        assert inside == []


def test_cuts_on_paragraphs_and_names_the_section() -> None:
    text = (
        "# One\n\n"
        + "First paragraph has quite a few words in it. " * 2
        + "\n\n"
        + ("Second paragraph has as many words as the first one. " * 2)
    )
    page = Page(None, text, (Heading(0, "One"),))
    passages = Cutter(count_words, 40, floor=8).cut(page)
    assert [p.text.split()[0] for p in passages] == ["#", "Second"]
    assert {p.section for p in passages} == {"One"}


def test_a_tokenizer_that_grows_by_joining_is_measured_again() -> None:
    def joined_costs_more(texts: Sequence[str]) -> list[int]:
        return [len(t.split()) + 5 * t.count("\n\n") for t in texts]

    text = "\n\n".join(["two words"] * 9)
    for passage in Cutter(joined_costs_more, 12).cut(Page(None, text)):
        assert joined_costs_more([passage.text])[0] <= 12


def test_windows_line_ends_cut_as_well() -> None:
    text = "\n\n".join(f"Paragraph {i} has some words in it." for i in range(8))
    spans = [
        len(Cutter(count_words, 20, 4).cut(Page(None, t)))
        for t in (text, text.replace("\n", "\r\n"))
    ]
    assert spans[0] == spans[1] == 8
