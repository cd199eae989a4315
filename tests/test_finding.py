"""Filters, duplicates, neighbours, items as queries, many queries, many threads."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_composer import make_hit

from ragvis.errors import UsageError
from ragvis.index import Index
from ragvis.index.filters import parse_filter
from ragvis.retriever import Retriever
from ragvis.retriever.folding import join
from ragvis.types import Hit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Letters and invoices of two years, pictures among them."""
    root = tmp_path / "papers"
    for year in ("2023", "2024"):
        (root / "Invoices" / year).mkdir(parents=True)
        (root / "letters").mkdir(exist_ok=True)
        for n in range(3):
            texts = {
                root / "Invoices" / year / f"bill {n}.txt": f"pump number{n} costs {year} crowns",
                root / "letters" / f"{year}-{n}.md": f"# Letter\n\nthe pump of {year} is number{n}",
            }
            for file, text in texts.items():
                file.write_text(text)
                when = datetime(int(year), 6, 1 + n).timestamp()
                os.utime(file, (when, when))
        Image.new("RGB", (40, 40), f"#{year}80").save(root / "Invoices" / year / "pump.png")
        Image.new("RGB", (40, 40), "red").save(root / "Invoices" / year / "same.png")
    overview = root / "letters" / "Jahresübersicht.txt"
    overview.write_text("a yearly overview of every pump")
    os.utime(overview, (1.5e9, 1.5e9))
    (root / "letters" / "draft.md").write_text("an unfinished letter about a pump")
    return root


@pytest.fixture
def retriever(root: Path, make_index: Callable[..., Index]) -> Retriever:
    index = make_index()
    index.add([root])
    return Retriever(index)


def place(path: str) -> str:
    return f"{Path(path).parent.name}/{Path(path).name}"


def names(hits: list[Hit]) -> set[str]:
    return {place(h.file) for h in hits}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path:invoices/2023/*", r"2023/.*"),
        ("path:Invoices", r"202[34]/.*"),
        ("type:md -name:draft", r"letters/202.*"),
        ("type:picture", r"202[34]/(pump|same).png"),
        ("type:png before:2000", r"never"),
        ("after:2024 type:txt", r"2024/.*txt"),
        ("after:2023-06-02 before:2023-06-03 type:txt", r"2023/bill 1.txt"),
        ("name:'bill 2.txt'", r"202[34]/bill 2.txt"),
        ("name:bill name:draft", r".*(bill|draft).*"),
        ("-path:letters -type:txt", r".*png"),
        (r"path:invoices\2023\*", r"2023/.*"),
        ("after:1600 before:9999 name:übersicht", r".*übersicht.*"),
    ],
)
def test_a_filter_holds_before_the_search(
    retriever: Retriever, root: Path, text: str, expected: str
) -> None:
    files = {place(str(f)) for f in root.rglob("*.*")}
    wanted = {name for name in files if re.fullmatch(expected, name)}
    hits = retriever.search("pump", k=100, filter=text)
    assert names(hits) <= wanted  # each hit is shown under a file that fits
    assert {place(p) for h in hits for p in (*h.paths, *h.duplicates)} >= wanted
    for k in (1, 2):  # the best few are looked for among these alone
        assert len(retriever.search("pump", k=k, filter=text)) == min(k, len(hits))


@pytest.mark.parametrize(
    "text",
    ["pump", "colour:red", "after:yesterday", "after:2024-13", "type:exe", "path:", "path:'a"],
)
def test_what_is_no_filter_is_told(retriever: Retriever, text: str) -> None:
    with pytest.raises(UsageError, match=r"filter|date"):
        retriever.search("pump", filter=text)


@pytest.mark.parametrize("k", [0, 1.5, float("inf"), 10**30, "3"])
def test_what_is_no_number_of_hits_is_told(retriever: Retriever, k: Any) -> None:
    with pytest.raises(UsageError, match="whole number"):
        retriever.search("pump", k=k)


def test_no_filter_is_longer_than_sqlite_takes(retriever: Retriever) -> None:
    with pytest.raises(UsageError, match="600 conditions"):
        retriever.search("pump", filter=" ".join(f"name:f{i}" for i in range(600)))
    retriever.search("pump", filter=" ".join(f"name:f{i}" for i in range(100)))


@given(st.text(max_size=30))
def test_no_filter_is_sql(value: str) -> None:
    quoted = "'" + value.replace("'", "") + "'"
    try:
        where = parse_filter(f"path:{quoted}")
    except UsageError:
        return
    assert where.sql.count("?") == len(where.values)
    assert re.fullmatch(r"[\w\s()|?*/'\\,]*", where.sql)


def test_equal_pictures_and_near_equal_texts_are_one_hit(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    words = "The otter sleeps on its back and holds hands with its friend in the bay of the river"
    (root / "a.txt").write_text(words)
    (root / "b.txt").write_text(words + " now")
    (root / "c.txt").write_text(words + " 7")
    for name in ("one.png", "two.jpg"):
        Image.new("RGB", (90, 60), "purple").save(root / name)
    index = make_index()
    index.add([root])
    hits = Retriever(index).search("otter sleeps", k=9, modality="text")
    folded = [h for h in hits if h.duplicates]
    assert len(hits) == 2 and len(folded) == 1  # a number makes a difference
    assert {folded[0].name, Path(folded[0].duplicates[0]).name} == {"a.txt", "b.txt"}
    pictures = Retriever(index).search("one", k=9, modality="image")
    assert [Path(p).name for p in pictures[0].duplicates] == ["two.jpg"]


def test_neighbouring_passages_are_one_hit(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    root = tmp_path / "mine"
    root.mkdir()
    paragraphs = [f"paragraph{n} tells of the heron " + "and its reeds " * 7 for n in range(4)]
    (root / "long.md").write_text("# Birds\n\n" + "\n\n".join(paragraphs))
    index = make_index()
    index.add([root])
    assert index.status().passages > 2
    hits = Retriever(index).search("heron reeds", k=9, modality="text")
    text = (root / "long.md").read_text()
    assert len(hits) < index.status().passages
    for hit in hits:
        start, end = hit.span or (0, 0)
        assert " ".join(text[start:end].split()) == " ".join((hit.text or "").split())
        assert hit.section == "Birds"


SPANS = st.lists(st.integers(1, 30), min_size=1, max_size=8)


@given(SPANS, st.randoms(use_true_random=False))
def test_joining_keeps_every_character_once(lengths: list[int], random: object) -> None:
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    hits = [
        Hit(**{**vars_of(make_hit(i)), "span": (end - n, end), "text": f"<{i}>", "file": "a"})
        for i, (n, end) in enumerate(zip(lengths, ends, strict=True))
    ]
    random.shuffle(hits)  # type: ignore[attr-defined]
    joined = join(hits)
    said = "".join(h.text or "" for h in joined)
    assert sorted(re.findall(r"\d+", said)) == sorted(str(i) for i in range(len(lengths)))
    covered = sorted(h.span for h in joined if h.span)
    assert covered[0][0] == 0 and covered[-1][1] == ends[-1]
    assert all(a[1] == b[0] for a, b in pairwise(covered))
    for hit in joined:
        numbers = [int(n) for n in re.findall(r"\d+", hit.text or "")]
        assert numbers == sorted(numbers)


def vars_of(hit: Hit) -> dict[str, object]:
    return {name: getattr(hit, name) for name in Hit.__dataclass_fields__}


def test_more_like_an_item(retriever: Retriever) -> None:
    first = retriever.search("pump number1 costs 2023", k=1, modality="text")[0]
    like = retriever.search(like=first.id, k=3, modality="text")
    assert first.id not in {h.id for h in like}
    assert like[0].name.startswith("bill")
    picture = retriever.search("pump", k=1, modality="image")[0]
    assert retriever.search(like=picture.id, k=3)
    for wrong in ("t999999", "i1x", "x", "t-1", "t" + "9" * 40):
        with pytest.raises(UsageError, match="no item"):
            retriever.search(like=wrong)
    with pytest.raises(UsageError, match="id is empty"):
        retriever.search(like="")


def test_many_queries_find_what_each_finds(retriever: Retriever) -> None:
    queries = [f"pump number{n} of {year}" for n in range(3) for year in (2023, 2024)]
    together = retriever.search_many(queries, k=4, filter="type:txt type:md")
    alone = [retriever.search(q, k=4, filter="type:txt type:md") for q in queries]
    assert [[h.id for h in hits] for hits in together] == [[h.id for h in hits] for hits in alone]
    assert retriever.search_many([]) == []
    by_one = retriever.search_many(iter(queries), k=4, filter="type:txt type:md")
    assert [[h.id for h in hits] for hits in by_one] == [[h.id for h in hits] for hits in alone]
    with pytest.raises(UsageError):
        retriever.search_many(["pump", " "])
    with pytest.raises(UsageError, match="not many"):
        retriever.search_many("pump")


def test_threads_find_what_one_finds_while_a_writer_goes_on(
    retriever: Retriever, root: Path
) -> None:
    writer = Index.open(retriever.index.path)
    queries = [f"pump number{n % 3} of {2023 + n % 2}" for n in range(64)]
    expected = {q: retriever.search(q, k=1, filter="type:txt")[0].file for q in queries}
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda q: retriever.search(q, k=1, filter="type:txt"), queries)
        for n in range(5):
            (root / "letters" / f"new{n}.md").write_text(f"nothing of that kind, {n}")
            writer.add([root])
        for query, hits in zip(queries, found, strict=True):
            assert hits[0].file == expected[query]


def test_diverse_hits_on_the_command_line(retriever: Retriever) -> None:
    index = str(retriever.index.path)
    plain = run_command_line("search", "pump", "-i", index, "-k", "3", "--explain")
    assert plain.exit_code == 0 and "of the query's wording" in plain.stdout
    assert "spreads" in plain.stdout
    varied = run_command_line("search", "pump", "-i", index, "--diversity", "0.9")
    assert varied.exit_code == 0
    only = run_command_line("search", "pump", "-i", index, "--filter", "type:png")
    assert ".txt" not in only.stdout and "pump.png" in only.stdout
    both = run_command_line("search", "pump", "--like", "t1", "-i", index)
    assert both.exit_code == 2
    bad = run_command_line("search", "pump", "-i", index, "--filter", "kind:x")
    assert bad.exit_code == 2 and "path:GLOB" in bad.stderr
    far = run_command_line("search", "zebra crossing", "-i", index, "--modality", "text")
    assert "nothing in the index seems to fit" in far.stderr
