"""The order of hits: nothing that tells them apart is lost, and nothing that was found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_composer import make_hit

from ragvis.index import Index
from ragvis.index.calibration import unit
from ragvis.retriever import Manner, Retriever, merge
from ragvis.retriever.folding import fold
from ragvis.retriever.scoring import RELEVANCE, Scored, any_of, diverse, probability
from ragvis.store.words import Shared
from ragvis.types import Hit, Modality

ODDS = st.floats(-60, 120, allow_nan=False)


@given(ODDS, ODDS)
def test_two_log_odds_are_never_one_probability(a: float, b: float) -> None:
    low, high = sorted((a, b))
    if high - low > 1e-6:
        assert 0 < probability(low) < probability(high) < 1
        assert any_of([low, 1.0]) <= any_of([high, 1.0])


@given(st.lists(st.floats(-8, 3), min_size=1, max_size=3))
def test_evidence_of_several_kinds_is_a_noisy_or(odds: list[float]) -> None:
    none = math.prod(1 - probability(o) for o in odds)
    assert probability(any_of(odds)) == pytest.approx(1 - none, abs=1e-9)


@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0, 1))
def test_a_more_similar_item_always_scores_more(a: float, b: float, words: float) -> None:
    low, high = sorted((a, b))
    if high - low > 1e-4:
        for relevance in RELEVANCE.values():
            for manner in (Manner(False, True), Manner(True, False)):
                shared = Shared(words, 3 * words)
                least, most = (relevance.probability(x, shared, manner) for x in (low, high))
                assert least < most


@pytest.fixture
def album(tmp_path: Path, make_index: Callable[..., Index]) -> Retriever:
    """90 pictures of which a query's words say nothing."""
    folder = tmp_path / "album"
    folder.mkdir()
    random = np.random.default_rng(3)
    for n in range(90):
        pixels = random.integers(0, 255, (4, 4, 3), np.uint8)
        Image.fromarray(pixels).resize((40, 40), 0).save(folder / f"{n:02}.png")
    index = make_index()
    index.add([folder])
    return Retriever(index)


def in_order_of(hits: list[Hit], kind: str) -> bool:
    cosines = [h.scores[f"{kind}_above"] for h in hits]
    return cosines == sorted(cosines, reverse=True)


def test_pictures_that_no_word_names_come_in_order_of_their_cosine(album: Retriever) -> None:
    queries = ["a harbour at night", "two dogs"]
    first = album.search(queries[0], k=90, modality="image")
    ids = [[h.id for h in hits] for hits in album.search_many(queries, k=90, modality="image")]
    assert ids[0] == [h.id for h in first] != sorted(ids[0], key=lambda i: int(i[1:]))
    assert ids[0][:8] == [h.id for h in album.search(queries[0], k=8)]
    photo = Image.new("RGB", (40, 40), "#336699")
    seen = album.search(image=photo, k=90, modality="image")
    like = album.search(like=first[0].id, k=89, modality="image")
    for hits, kind in ((first, "text"), (seen, "image"), (like, "image")):
        assert len(hits) > 80 and in_order_of(hits, kind)
        assert all(a.score > b.score for a, b in pairwise(hits))


def test_weak_hits_are_made_diverse_by_their_scores_too() -> None:
    rows = unit(np.array([[1, 0], [1, 0.1], [0, 1], [-1, 0.2]], np.float32))
    candidates = [Scored(i, s, {}, rows[i]) for i, s in enumerate((4e-3, 3.9e-3, 3e-3, 1e-5))]
    assert [c.id for c in diverse(candidates, 3, 0.2)] == [0, 2, 1]


def hits_of(scores: list[float], modality: Modality) -> list[Hit]:
    return [make_hit(i, modality, score=s) for i, s in enumerate(sorted(scores, reverse=True))]


SCORES = st.lists(st.floats(0, 1), max_size=15)


@given(SCORES, SCORES, st.integers(1, 12))
def test_one_ranking_leaves_out_nothing_that_is_likelier(
    texts: list[float], pictures: list[float], k: int
) -> None:
    passages, images = hits_of(texts, "text"), hits_of(pictures, "image")
    merged = merge(passages, images, k)
    assert len(merged) == min(k, len(passages) + len(images))
    assert all(a.score >= b.score for a, b in pairwise(merged))
    for own in (passages, images):
        kept = [h for h in merged if h in own]
        assert kept == own[: len(kept)]
    left = max((h.score for h in (*passages, *images) if h not in merged), default=0.0)
    assert all(h.score >= 0.9 * left or max(h.score, left) < 0.01 for h in merged)


def test_a_share_is_for_what_is_as_likely() -> None:
    strong = hits_of([0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.9], "text")
    weak = hits_of([0.05, 0.04], "image")
    assert merge(strong, weak, 8) == strong[:8]
    as_strong = hits_of([0.89, 0.88, 0.87], "image")
    assert merge(strong, as_strong, 8) == [*strong[:6], *as_strong[:2]]
    # The other way round
    strong = [replace(h, modality="image", id=f"i{n}") for n, h in enumerate(strong)]
    assert merge(hits_of([0.3], "text"), strong, 8) == strong[:8]
    nothing, no_picture = hits_of([0.0015] * 9, "text"), hits_of([0.0033] * 9, "image")
    assert [h.modality for h in merge(nothing, no_picture, 8)] == ["image"] * 6 + ["text"] * 2
    alike = merge(hits_of([0.5] * 9, "text"), hits_of([0.5] * 9, "image"), 6)
    assert [h.modality for h in alike].count("image") == 3


SAID = "The valve of the old boiler is opened by hand once a week before the pressure is read"
STAND_APART = [
    "The valve of the old boiler is not opened by hand once a week before the pressure is read",
    "The valve of the new boiler is opened by hand once a week before the pressure is read",
    f"{SAID} not",
    f"{SAID} by Anna",
    f"{SAID} 7",
    f"{SAID} nicht",
    f"Nobody knows: {SAID}",
]


@pytest.mark.parametrize("other", STAND_APART)
def test_a_word_that_turns_what_is_said_keeps_passages_apart(other: str) -> None:
    assert len(folded(SAID, other)) == len(folded(other, SAID)) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Order part LK-7719-B", "Order part LK-7719-C"),
        ("Ask Maria Olsen in room B", "Ask Mario Olsen in room B"),
        ("Heat to", "Cool to"),
        ("Frost: between -5 and", "Frost: between 5 and"),
        ("It costs $5,", "It costs €5,"),
        ("Keep it at > 4 degrees,", "Keep it at < 4 degrees,"),
        ("✓ approved,", "✗ approved,"),
    ],
)
def test_identifiers_names_and_signs_keep_passages_apart(one: str, other: str) -> None:
    assert len(folded(f"{one} {SAID}", f"{other} {SAID}")) == 2


@pytest.mark.parametrize(
    "other",
    [
        f"{SAID}.",
        SAID.upper(),
        f"“{SAID}”",
        f"{SAID} now",
        f"and {SAID.lower()}",
        SAID.replace(" ", "\n"),
        SAID.replace("fi", "\ufb01"),
    ],
)
def test_what_says_the_same_is_one_hit(other: str) -> None:
    found = folded(SAID, other)
    assert len(found) == 1 and found[0].duplicates == ("doc1.md",)


def folded(*texts: str) -> list[Hit]:
    scored = Scored(0, 0.5, {}, np.ones(2, np.float32))
    return [hit for hit, _ in fold([(make_hit(n, text=t), scored) for n, t in enumerate(texts)])]


def test_a_folded_picture_is_listed_under_every_file_that_holds_it() -> None:
    one, other = unit(np.array([[1, 0], [1, 0.02]], np.float32))
    best = make_hit(0, "image", None, path="a.png")
    copy = replace(make_hit(1, "image", None, path="b.png"), paths=("b.png", "old/b.png"))
    found = fold([(best, Scored(0, 0.9, {}, one)), (copy, Scored(1, 0.8, {}, other))])
    assert found[0][0].duplicates == ("b.png", "old/b.png")


def test_pictures_that_could_not_be_listed_or_are_called_otherwise_are_not_folded() -> None:
    one, other = unit(np.array([[1, 0], [1, 0.02]], np.float32))

    def pair(a: Hit, b: Hit, second: np.ndarray = other) -> int:
        return len(fold([(a, Scored(0, 0.9, {}, one)), (b, Scored(1, 0.8, {}, second))]))

    page_3 = make_hit(0, "image", None, path="plan.pdf")
    page_7 = replace(page_3, id="i1", page=7, ordinal=1)
    assert pair(page_3, page_7) == 2  # ``duplicates`` names files
    assert pair(page_3, page_7, one) == 1  # the same logo again
    before = make_hit(0, "image", "The boiler before the repair")
    assert pair(before, make_hit(1, "image", "The boiler after the repair")) == 2
    assert pair(before, make_hit(1, "image", None)) == 1


def test_copies_and_neighbours_take_no_places_of_other_hits(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for n in range(30):  # copies whose bytes differ
        (folder / f"copy{n}.txt").write_text("the heron stands in the reeds" + " " * n)
    paragraphs = [f"the heron, part{n}, " + "and its reeds " * 7 for n in range(9)]
    (folder / "long.md").write_text("# Birds\n\n" + "\n\n".join(paragraphs))
    for n in range(6):
        (folder / f"other{n}.txt").write_text(f"other{n} tells of a heron at lake{n}")
    index = make_index()
    index.add([folder])
    hits = Retriever(index).search("heron in the reeds", k=8, modality="text")
    assert len(hits) == 8
    names = [h.name for h in hits]
    assert sum(name.startswith("copy") for name in names) == 1
    assert max(len(h.duplicates) for h in hits) == 29
    assert sum(name.startswith("other") for name in names) >= 3
