"""Judging by the model: equal to asking it plainly, on pocket and every family's shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import FAMILIES
from conftest import run_command_line
from PIL import Image

import ragvis
from ragvis import generator
from ragvis.generator.judge import Judge
from ragvis.prompts import NOT_FOUND
from ragvis.retriever.rerank import Reranker

WORDS = ("Yes", "No", NOT_FOUND)


def plainly(model: Any, prompts: list[Any]) -> Any:
    """One whole pass a prompt, nothing shared."""
    wanted = [model.first_token(word) for word in WORDS]
    with torch.inference_mode():
        rows = [model.model(**model.inputs(*prompt)).logits[0, -1].float() for prompt in prompts]
    return torch.stack(rows).softmax(-1)[:, wanted].numpy()


def prompts_of(pictures: bool) -> list[Any]:
    texts = [(f"Here is a source: {'word ' * n}Is it so?", []) for n in (1, 9, 3, 30)]
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    shot = Image.fromarray(noise)
    return texts + ([(f"Here is a <image>\n{n} Is it so?", [shot]) for n in range(2)] * pictures)


def test_pocket_judges_as_it_would_answer(pocket_generator: Any) -> None:
    prompts = prompts_of(pictures=True)
    found = Judge(pocket_generator).first_words(prompts, WORDS)
    assert found == pytest.approx(plainly(pocket_generator, prompts), abs=1e-4)
    assert Judge(pocket_generator).first_words([], WORDS).shape == (0, 3)
    one = prompts[:1]
    assert Judge(pocket_generator).first_words(one, WORDS) == pytest.approx(
        plainly(pocket_generator, one), abs=1e-4
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_judges_as_it_would_answer(family: str, tmp_path: Path) -> None:
    model = generator.load(str(FAMILIES[family](tmp_path)), print)
    prompts = prompts_of(pictures=True)
    found = Judge(model).first_words(prompts, WORDS)
    assert found == pytest.approx(plainly(model, prompts), abs=1e-4)


def test_reranking_orders_by_what_the_model_would_answer(
    demo_index: Path, pocket_generator: Any
) -> None:
    index = ragvis.Index.open(demo_index)
    question = "What is the capital of Kenya?"
    plain, judging = ragvis.Retriever(index), ragvis.Retriever(index, Reranker(pocket_generator, 4))
    query = plain.query(question)
    before, judged = plain.rank(query, 6).passages, judging.rank(query, 6).passages
    assert {h.id for h in judged} == {h.id for h in before}
    assert [h.id for h in judged[4:]] == [h.id for h in before[4:]]
    assert sum("answers" in h.scores for h in judged) == 4
    assert judged[0].name == "country-kenya.md" and judged[0].scores["answers"] > 0.5
    scores = [h.score for h in judged[:4]]
    assert scores == sorted(scores, reverse=True)


def test_the_option(demo_index: Path) -> None:
    done = run_command_line(
        "search", "capital of Kenya", "-i", demo_index, "--rerank", "2", "-m", "pocket",
        "--explain", "-k", "3",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("which would answer") >= 2
