"""Finding: fusion, both modalities, pictures as queries, scores that mean something."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ragvis.errors import UsageError
from ragvis.index import Index
from ragvis.index.calibration import Calibration, Floor, centred, unit
from ragvis.retriever import Manner, Retriever
from ragvis.retriever.scoring import RELEVANCE, Scored, diverse
from ragvis.store.words import Shared


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 1), st.booleans())
def test_scores_rise_with_the_cosine_and_lie_between_0_and_1(
    a: float, b: float, spread: float, words: float, asked: bool
) -> None:
    floor = Floor(0.2, spread)
    low, high = sorted((a, b))
    manner = Manner(asked, not asked)
    for relevance in RELEVANCE.values():
        of = [
            relevance.probability(floor.above(c), Shared(words, 3 * words), manner)
            for c in (low, high)
        ]
        assert 0 <= of[0] <= of[1] <= 1
    assert floor.above(0.2 + max(spread, 0.02)) == pytest.approx(1)


VECTORS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, 10**6), st.floats(0, 0.9))
)


@given(VECTORS)
def test_centring_takes_the_gap_between_the_modalities_away(drawn: tuple[int, int, float]) -> None:
    n, seed, gap = drawn
    random = np.random.default_rng(seed)
    texts, pictures = (unit(random.normal(size=(n + 200, 8)).astype(np.float32)) for _ in "tp")
    pictures = unit(pictures + np.float32(gap) * np.eye(8, dtype=np.float32)[0])
    calibration = centred(texts, {"text": texts, "image": pictures})
    asked = calibration.query("text", texts[:20])
    same = {
        m: np.mean([calibration.cosines(m, rows, q).mean() for q in asked])
        for m, rows in (("text", texts), ("image", pictures))
    }
    assert abs(same["text"] - same["image"]) < 0.1
    assert Calibration.parse(calibration.to_json()).centres.keys() == calibration.centres.keys()


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 1))
def test_diversity_only_reorders(seed: int, k: int, diversity: float) -> None:
    random = np.random.default_rng(seed)
    rows = unit(random.normal(size=(12, 4)).astype(np.float32))
    scores = sorted(random.uniform(size=12), reverse=True)
    candidates = [Scored(i, s, {}, rows[i]) for i, s in enumerate(scores)]
    chosen = diverse(candidates, k, diversity)
    assert len({c.id for c in chosen}) == len(chosen) == k
    assert chosen[0].id == 0 or diversity == 1
    if diversity == 0:
        assert chosen == candidates[:k]


def test_diversity_prefers_what_is_unlike_the_first() -> None:
    rows = unit(np.array([[1, 0], [1, 0.01], [0, 1]], np.float32))
    candidates = [Scored(i, s, {}, rows[i]) for i, s in enumerate((0.9, 0.8, 0.5))]
    assert [c.id for c in diverse(candidates, 2, 0.1)] == [0, 1]
    assert [c.id for c in diverse(candidates, 2, 0.7)] == [0, 2]


@pytest.fixture
def retriever(tmp_path: Path, make_index: Callable[..., Index]) -> Retriever:
    root = tmp_path / "mine"
    root.mkdir()
    for i in range(12):
        (root / f"doc{i}.txt").write_text(f"topic{i} is described here in words, red{i} too")
    for name, colour in (("red car", "red"), ("IMG_1", "blue"), ("IMG_2", "green")):
        Image.new("RGB", (64, 64), colour).save(root / f"{name}.png")
    index = make_index()
    index.add([root])
    return Retriever(index)


def test_text_finds_passages_and_pictures_by_name(retriever: Retriever) -> None:
    hits = retriever.search("topic7", k=5)
    assert hits[0].name == "doc7.txt"
    assert hits[0].score > 5 * max(h.score for h in retriever.search("nothing of the kind", k=5))
    assert hits[0].text == (Path(hits[0].file).read_text())[slice(*hits[0].span or ())].strip()
    assert "image" in {h.modality for h in hits}
    assert retriever.search("a red car", k=3, modality="image")[0].name == "red car.png"


def test_a_picture_finds_itself(retriever: Retriever, tmp_path: Path) -> None:
    picture = Image.new("RGB", (200, 100), "blue")
    for query in (picture, tmp_path / "mine" / "IMG_1.png"):
        found: Any = retriever.search(image=query, k=1, modality="image")[0]
        assert found.name == "IMG_1.png"
    both = retriever.search("topic3", image=picture, k=4)
    assert {"IMG_1.png", "doc3.txt"} <= {h.name for h in both}


def test_the_only_picture_of_an_index_is_known_again(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    (tmp_path / "one").mkdir()
    Image.new("RGB", (64, 64), "orange").save(tmp_path / "one" / "tangerine.png")
    (tmp_path / "one" / "fruit.txt").write_text("A tangerine has eleven segments.")
    index = make_index()
    index.add([tmp_path / "one"])
    query = Retriever(index).query("How many segments?", [Image.new("RGB", (50, 50), "orange")])
    assert query.known is not None and query.known.name == "tangerine.png"
    assert query.by_name is not None and query.by_name.text == "tangerine How many segments?"


def test_modality_and_k(retriever: Retriever) -> None:
    assert {h.modality for h in retriever.search("red", k=20, modality="text")} == {"text"}
    assert len(retriever.search("red", k=20, modality="image")) == 3
    assert len(retriever.search("red", k=2)) == 2
    hits = retriever.search("red", k=50)
    assert len({h.id for h in hits}) == len(hits) == 15


def test_queries_that_ask_nothing(retriever: Retriever, tmp_path: Path) -> None:
    for query in (None, "", "   "):
        with pytest.raises(UsageError, match="nothing to search for"):
            retriever.search(query)
    with pytest.raises(UsageError, match="no such picture"):
        retriever.search(image=tmp_path / "none.png")
    with pytest.raises(UsageError, match="k must"):
        retriever.search("x", k=0)


def test_a_very_long_query_is_shortened_not_refused(retriever: Retriever) -> None:
    assert retriever.search("padding " * 5000 + "topic7", k=1, modality="text")[0].name == (
        "doc7.txt"
    )


def test_an_empty_index_answers_nothing(make_index: Callable[..., Index]) -> None:
    assert Retriever(make_index("empty")).search("anything") == []
