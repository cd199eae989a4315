"""Measures, intervals, tests, the eval set itself, and floors for finding with real pocket."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WordEncoder, run_command_line
from hypothesis import given
from hypothesis import strategies as st
from test_composer import make_hit

from ragvis.documents import read
from ragvis.errors import UsageError
from ragvis.evaluation import (
    Measure,
    Question,
    Report,
    Target,
    compare,
    evaluate,
    read_questions,
)
from ragvis.evaluation.measures import is_match, ndcg, normalised, recall, reciprocal_rank
from ragvis.evaluation.missing import missing_files
from ragvis.evaluation.page import page as as_page
from ragvis.evaluation.page import risk_coverage
from ragvis.evaluation.statistics import bootstrap, interval, paired, wilson
from ragvis.index import Index
from ragvis.retriever import Retriever

EVALSET = Path(__file__).parent / "evalset"
HALVES = ("tune", "test")
RANKS = st.lists(st.one_of(st.none(), st.integers(1, 30)), min_size=1, max_size=6)


@given(RANKS, st.integers(1, 20))
def test_measures_lie_between_0_and_1(ranks: list[int | None], k: int) -> None:
    assert 0 <= recall(ranks, k) <= recall(ranks, k + 10) <= 1
    assert 0 <= ndcg(ranks, k) <= 1 + 1e-9
    assert reciprocal_rank(ranks) == max((1 / r for r in ranks if r), default=0)


def test_measures_by_hand() -> None:
    assert recall([1, 7, None], 5) == pytest.approx(1 / 3)
    assert ndcg([1, 2], 10) == pytest.approx(1)
    assert ndcg([2, None], 10) == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
    assert ndcg([3, 3], 10) == pytest.approx(0.5)  # one hit, though it is two targets


@pytest.mark.parametrize(
    ("answer", "accepted", "right"),
    [
        ("The cost is 4,150 crowns [1].", ["4150"], True),
        ("It is minus 80.", ["-80", "minus 80"], True),
        ("Madame Verchere led it", ["Verchère"], True),
        ("Room 112", ["12"], False),
        ("38.5 kg", ["38"], False),
        ("a copper beech", ["the Copper Beech!"], True),
    ],
)
def test_matching(answer: str, accepted: list[str], right: bool) -> None:
    assert is_match(answer, accepted) is right


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_wilson_is_the_published_one() -> None:
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 20)[0] == 0 and wilson(20, 20)[1] == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_intervals_hold_the_mean(values: list[float]) -> None:
    low, high = interval(values)
    assert low - 1e-9 <= np.mean(values) <= high + 1e-9
    assert bootstrap(values) == bootstrap(values)


def test_the_paired_test() -> None:
    assert paired([0.5] * 9, [0.5] * 9) == (0, 0, 0, 1)
    change, low, high, p = paired([0.0] * 5, [1.0] * 5)
    assert (change, low, high) == (1, 1, 1) and p == pytest.approx(2 / 2**5)
    random = np.random.default_rng(5)
    before = random.uniform(size=200)
    _, _, _, unlikely = paired(before.tolist(), (before + 0.1).tolist())
    _, _, _, likely = paired(before.tolist(), random.permutation(before).tolist())
    assert unlikely < 0.001 and likely > 0.05


def test_targets_match_whole_parts_of_paths_and_pages() -> None:
    hit = replace(make_hit(1, "image"), page=3)
    name = hit.path
    assert Target.parse(name).matches(hit)
    assert Target.parse(f"{name}#page=3&picture").matches(hit)
    assert not Target.parse(f"{name}#page=4").matches(hit)
    assert not Target.parse(name[1:]).matches(hit)
    assert not Target.parse(f"{name}#picture").matches(make_hit(1))
    with pytest.raises(ValueError, match="unknown part"):
        Target.parse("a.pdf#side=2")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2"),
        ('{"id": 1, "question": "x"}', "answerable"),
        ('{"id": 1, "question": "x", "answerable": "yes"}', "true or false"),
        ('{"id": 1, "question": "x", "answerable": true}', "names nothing relevant"),
        ('{"id": 1, "question": "x", "relevant": "a", "answerable": true}', "list of strings"),
        ('{"id": 1, "question": "x", "relevant": ["a#b"], "answerable": true}', "unknown part"),
        ('{"id": 0, "question": "x", "answerable": false}', "stands twice"),
        ('{"id": 1, "question": "x", "answerable": false, "answers": ["y"]}', "mean 'answer'"),
        ("[]", "line 2"),
    ],
)
def test_what_is_no_question_is_told_by_its_line(tmp_path: Path, line: str, why: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": 0, "question": "x", "answerable": false}\n' + line)
    with pytest.raises(UsageError, match=why):
        read_questions(file)


def test_a_line_may_say_more(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"id": 0, "question": "x", "answerable": false, "question_id": 7, "idx": 1}')
    assert len(read_questions(file)) == 1


def test_no_file_and_no_questions(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name in ("none.jsonl", "empty.jsonl"):
        with pytest.raises(UsageError):
            read_questions(tmp_path / name)


# --- the eval set -------------------------------------------------------------------------


def test_the_eval_set_is_whole() -> None:
    halves = [read_questions(EVALSET / f"{half}.jsonl") for half in HALVES]
    questions = [q for half in halves for q in half]
    assert len(questions) >= 150 and sum(not q.answerable for q in questions) >= 40
    assert len({q.text for q in questions} | {q.id for q in questions}) >= len(questions)
    for half in halves:
        assert min(Counter(q.id[0] for q in half).values()) >= 7
    files = {
        f.relative_to(EVALSET / "collection").as_posix()
        for f in EVALSET.rglob("*.*")
        if "collection" in f.parts
    }
    for question in questions:
        assert {t.path for t in question.relevant} <= files, question.id
        assert all(image.is_file() for image in question.images)


def test_text_answers_stand_in_their_sources() -> None:
    texts: dict[str, str] = {}
    for question in (q for half in HALVES for q in read_questions(EVALSET / f"{half}.jsonl")):
        if question.id[0] not in "tk" or not question.answers:
            continue
        for path in {t.path for t in question.relevant if t.modality == "text"}:
            document = read(EVALSET / "collection" / path)
            texts[path] = " ".join(page.text for page in document.pages)
            assert is_match(texts[path], question.answers), question.id


@pytest.fixture(scope="module")
def measures(pocket_encoder: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measure]:
    index = Index.create(tmp_path_factory.mktemp("evalset") / "index", "pocket")
    index.add([EVALSET / "collection"])
    return evaluate(Retriever(index), read_questions(EVALSET / "tune.jsonl")).measures


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("recall@5", 0.93),
        ("text.recall@5", 0.92),
        ("image.recall@5", 0.9),
        ("mrr", 0.9),
        ("starvation_gap@5", -0.04),
    ],
)
def test_finding_does_not_get_worse(measures: dict[str, Measure], name: str, least: float) -> None:
    assert measures[name].value >= least


# --- the command --------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path, folder: Path, make_index: Callable[..., Index]) -> tuple[Path, Path]:
    """An index and a file of questions over it."""
    index = make_index()
    index.add([folder])
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": "twelve volts", "relevant": ["pump.md"], "answerable": True},
        {"id": "b", "question": "red", "relevant": ["red.png"], "answerable": True},
        {"id": "c", "question": "four candles", "relevant": ["gone.md"], "answerable": True},
        {"id": "d", "question": "zebra", "relevant": [], "answerable": False},
    ]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return index.path, file


def test_the_command(small: tuple[Path, Path], tmp_path: Path, encoder: WordEncoder) -> None:
    index, file = small
    page = tmp_path / "page.html"
    done = run_command_line("eval", file, "-i", index, "--json", "--html", page)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    low = pytest.approx(0.0945, abs=1e-4)
    expected = {"value": 0.5, "low": low, "high": pytest.approx(0.9055, abs=1e-4), "n": 2}
    assert found["measures"]["text.mrr"] == expected
    assert [row["id"] for row in found["rows"]] == ["a", "b", "c", "d"]
    assert found["rows"][0]["ranks"] == [1] and found["rows"][3]["values"].keys() == {"search_s"}
    text = page.read_text()
    assert "<svg" in text and "four candles" in text and "http" not in text
    assert found["missing"] == [{"path": "gone.md", "reason": "", "questions": ["c"]}]
    said = "the index lacks gone.md, which 1 of 4 questions want and can only miss."
    assert said in done.stderr and "-i" in done.stderr
    shown = run_command_line("eval", file, "-i", index)
    assert "recall@5" in shown.stdout and "95 % interval" in shown.stdout
    saved = tmp_path / "a.json"
    saved.write_text(done.stdout)
    same = run_command_line("eval", "--compare", saved, saved, "--json")
    assert {row["p"] for row in json.loads(same.stdout)["comparison"]} == {1.0}
    assert "B - A" in run_command_line("eval", "--compare", saved, saved).stdout


def test_files_that_the_index_lacks(folder: Path, make_index: Callable[..., Index]) -> None:
    (folder / "torn.pdf").write_bytes(b"%PDF-1.4 torn")
    (folder / "other").mkdir()
    (folder / "other" / "pump.md").write_text("Another pump.")
    index = make_index()
    index.add([folder])
    wanted = {
        "a": ["pump.md", "sub/lamp.txt", "mine/sub/blue.png#picture"],
        "b": ["torn.pdf#page=2", "lamp.md", "ub/lamp.txt"],
        "c": ["pump.md#page=9", "lamp.md", "gone\\\\lamp.txt"],
        "d": ["sub\\lamp.txt", str(folder / "red.png")],
    }
    questions = [
        Question(id_, "?", (), tuple(map(Target.parse, paths)), (), True)
        for id_, paths in wanted.items()
    ]
    found = {one.path: one for one in missing_files(index.files(), questions)}
    assert list(found) == ["torn.pdf", "lamp.md", "ub/lamp.txt", "gone//lamp.txt"]
    assert found["lamp.md"].questions == ("b", "c") and found["lamp.md"].reason == ""
    assert "broken PDF" in found["torn.pdf"].reason
    assert missing_files([], questions)[0].path == "pump.md"


def test_many_missing_files_are_counted(small: tuple[Path, Path]) -> None:
    index, file = small
    rows = [
        {"id": n, "question": "x", "relevant": [f"{n}.md"], "answerable": True} for n in range(30)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    said = run_command_line("eval", file, "-i", index).stderr
    assert "9.md and 20 more (--json lists them), which 30 of 30 questions" in said
    assert "10.md" not in said


def test_a_page_tells_right_from_wrong_without_colours(
    small: tuple[Path, Path], tmp_path: Path
) -> None:
    index, file = small
    page = tmp_path / "page.html"
    rows = [
        {"id": "a", "question": "volts", "relevant": ["pump.md", "gone.md"], "answerable": True}
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    run_command_line("eval", file, "-i", index, "--html", page)
    text = page.read_text("utf-8")
    assert "pump.md ✓</span>" in text and "✗</span>" in text
    assert re.search(r"<span class=right>[^<]*pump\.md ✓", text)
    assert not re.search(r"<span class=wrong>[^<]*pump\.md", text)
    assert "<h2>Not in the index</h2>" in text and "<li>gone.md: a</ul>" in text
    assert "Not in the index" not in as_page(Report({"index": ABOUT, "questions": 1}, ROWS), "x")


ABOUT = {"path": "i", "encoder": "words"}
ROWS: list[dict[str, Any]] = [
    {
        "id": "a",
        "question": "q",
        "answerable": True,
        "relevant": [{"path": "b.pdf", "page": 3, "picture": False}],
        "ranks": [2],
        "best": 0.5,
        "hits": [{"path": "x/b.pdf", "page": n, "modality": "text"} for n in (2, 3)],
        "values": {"recall@5": 0.0},
    }
]


def test_another_page_of_the_right_file_is_wrong() -> None:
    text = as_page(Report({"index": ABOUT, "questions": 1}, ROWS), "x")
    assert "<span class=wrong>x/b.pdf ✗</span>, <span class=right>x/b.pdf ✓</span>" in text


def test_what_the_command_refuses(small: tuple[Path, Path], tmp_path: Path) -> None:
    index, file = small
    assert run_command_line("eval", "-i", index).exit_code == 2
    assert run_command_line("eval", file, "-i", tmp_path / "none").exit_code == 4
    broken = run_command_line("eval", "--compare", file, file)
    assert broken.exit_code == 2 and "eval FILE --json" in broken.stderr
    nowhere = run_command_line("eval", file, "-i", index, "--html", tmp_path / "no" / "page.html")
    assert nowhere.exit_code == 2


def test_comparing_needs_common_questions() -> None:
    rows = [{"id": "a", "values": {"mrr": 1.0}}]
    assert compare({"rows": rows}, {"rows": rows})[0].n == 1
    with pytest.raises(UsageError, match="no question in common"):
        compare({"rows": rows}, {"rows": []})


def test_risk_counts_from_the_surest() -> None:
    rows: list[dict[str, Any]] = [
        {"best": 0.9, "answerable": True, "ranks": [2]},
        {"best": 0.1, "answerable": False, "ranks": []},
        {"best": 0.5, "answerable": True, "ranks": [None]},
    ]
    assert risk_coverage(rows) == [(1 / 3, 0), (2 / 3, 0.5), (1, 2 / 3)]


def test_answers_are_judged(demo_index: Path, tmp_path: Path) -> None:
    rows = [
        {
            "id": "t",
            "question": "What is the capital of Kenya?",
            "relevant": ["country-kenya.md"],
            "answer": ["Nairobi"],
            "answerable": True,
        },
        {"id": "n", "question": "How do I renew my passport?", "relevant": [], "answerable": False},
    ]
    file = tmp_path / "q.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    arguments = ["eval", file, "-i", demo_index, "--answers", "-m", "pocket", "--json"]
    done = run_command_line(*arguments, "-o", "max_new_tokens", "40")
    assert done.exit_code == 0, done.stderr
    values = {name: m["value"] for name, m in json.loads(done.stdout)["measures"].items()}
    assert values["answers.match"] == values["answers.citation_precision"] == 1
    assert values["answers.false_answer"] == values["answers.false_refusal"] == 0
