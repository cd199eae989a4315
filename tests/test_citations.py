"""Citations hold by construction: their numbers are the composer's, whatever a text says."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line
from hypothesis import given, settings
from hypothesis import strategies as st
from test_composer import FAMILIES, make_hit, make_spec

import ragvis
from ragvis.composer import (
    Attachment,
    CitationFilter,
    Composed,
    Past,
    Turn,
    beside,
    compose,
    escape_citations,
    find_citations,
)
from ragvis.composer.citations import keep_valid
from ragvis.generator.sampling import Counting, Sampling, Usage, Written
from ragvis.types import ModelInfo, Source

OWN_MARKS = Path(__file__).parent / "cases" / "own_marks"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("A [1], B [7]. C [2, 9; 1] [x] [0].", "A [1], B. C [2][1] [x]."),
        ("A [7][2]. B [7][8][1] C [7] [2] D [7, 9]x", "A [2]. B [1] C [2] Dx"),
        ("[[9]7]", ""),
        ("[1[9]]", "[1]"),
        ("[7[9]]", ""),
        ("a [1-3] b [8–9].", "a [1][2] b."),
        ("[" + ", ".join(map(str, range(1, 40))) + "]", "[1][2]"),
        ("array[] and [ ] and [, ] stay", "array[] and [ ] and [, ] stay"),
        ("[99999999999999999999]", ""),
        ("an open [1", "an open [1"),
        ("A [n1]. B [Source 2], C [sources 1, 7] [n9] [#2].", "A [1]. B [2], C [1] [2]."),
        ("as [n], [source], [none1] and [n", "as [n], [source], [none1] and [n"),
    ],
)
def test_invented_numbers_go_and_lists_are_split(said: str, kept: str) -> None:
    assert keep_valid(said, {1, 2}) == kept


def test_citations_are_found_where_they_stand() -> None:
    text = "A [1], C [2][1]."
    found = [(c.n, text[c.start : c.end]) for c in find_citations(text)]
    assert found == [(1, "[1]"), (2, "[2]"), (1, "[1]")]


@settings(max_examples=500)
@given(
    st.lists(
        st.sampled_from(
            ["[1]", "[", "]", " ", "1", "7", ", ", "[9]", "a.", "-", " [1, 3]", "\n", "n", "source"]
        )
    ),
    st.data(),
)
def test_only_given_numbers_stay_and_pieces_say_the_same(
    parts: list[str], data: st.DataObject
) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    checked = CitationFilter({1, 2})
    said = "".join(map(checked.feed, pieces)) + checked.finish()
    assert said == keep_valid(text, {1, 2})
    assert {c.n for c in find_citations(said)} <= {1, 2}


@pytest.mark.parametrize(
    ("written", "escaped"),
    [
        ("41 millimetres [2].", "41 millimetres (2)."),
        ("see [2-4], [5–7] and [8, 9]", "see (2-4), (5–7) and (8, 9)"),
        ("- [2] Harrow", "- (2) Harrow"),
        ("a[2] = b[0][1]", "a(2) = b(0)(1)"),
        ("[3] minutes.txt", "(3) minutes.txt"),
        ("[^2] [#2] [n2] [Source 2] [sources 1, 2]", "(^2) (#2) (n2) (Source 2) (sources 1, 2)"),
        (r"\[2\] [*2*] [**2**] ['2'] [2.] [ 2 ]", r"\(2\) (*2*) (**2**) ('2') (2.) ( 2 )"),
        ("[²] [①] [٢] [２]", "(²) (①) (٢) (２)"),
        ("［2］ 【2】 〔2〕 ⟦2⟧", "(2) (2) (2) (2)"),
        ("[[2]] [[2] [3]]", "((2)) ((2) (3))"),
        ("[2](#note) [2]: a link", "(2)(#note) (2): a link"),
        ("[x] [ ] [p. 2] [Harrow 2019] [i] [] [none1]",) * 2,
        ("an open [2 and a closed 3]",) * 2,
    ],
)
def test_a_texts_own_marks_stand_in_round_brackets(written: str, escaped: str) -> None:
    assert escape_citations(written) == escaped


BRACKETS = [*"[]［］【】〔〕()", "[2]", "[1]", "[2-4]", "【2】", "[[3]"]
NUMBERS = ["2", "٢", "²", "13", "n", "n2", "source"]
BETWEEN = [" ", ", ", "-", "^", "\\", "*", ":", "\n", "\u200b", "word", "page"]
HEADS = ["text: a.md: ", "\n[1] text: a.md: ", "[9] image: x.png", "Question: ", "</s>", "<image>"]
OUTSIDE = st.lists(st.sampled_from(BRACKETS + NUMBERS + BETWEEN + HEADS), max_size=12).map("".join)


def numbers_in(text: str) -> list[str]:
    """Whatever is a bracketed number by a wide reading, without the code under test."""
    plain = unicodedata.normalize("NFKC", text).translate(str.maketrans("【〔】〕", "[[]]"))
    inner = re.findall(r"\[([^\[\]]*)\]", plain)
    return [one for one in inner if re.search(r"\d", one) and not re.search(r"[^\W\d_]", one)]


def from_others(composed: Composed) -> str:
    """The prompt less the heads of its sources, which are the composer's."""
    text = composed.prompt
    for source in composed.sources:
        if source.is_shown:
            text, found = re.subn(rf"\[{source.n}\] (?=(text|image):)", "", text, count=1)
            assert found, source
    return text


@settings(max_examples=200)
@given(st.lists(OUTSIDE, min_size=10, max_size=10), st.sampled_from(FAMILIES))
def test_every_number_in_a_prompt_is_the_composers(said: list[str], family: str) -> None:
    text, name, title, section, caption, looks, note, question, photo, before = said
    hits = [
        make_hit(1, text=text, path=name, title=title, section=section),
        make_hit(2, "image", caption or None, path=name, looks_like=looks),
        make_hit(3, "image", caption or None, path=name),
    ]
    attached = Attachment(make_hit(0, "image", None, path=photo), (9, 9), known_as=caption)
    spec, sizes = make_spec(family, limit=10**6), {"i2": (9, 9), "i3": (9, 9)}
    composed = compose(question, hits, [attached], sizes, spec, notes={"i3": note})
    assert numbers_in(from_others(composed)) == []

    cited = f"Said so [{composed.sources[0].n}]."
    turn = Turn(composed.turn.body, cited, composed.turn.sources, composed.turn.sizes)
    past = Past((turn,), {s.hit.id: s.n for s in composed.sources})
    after = compose(before, [make_hit(7, text=text)], [], {}, spec, past=past)
    aside = beside(question, spec, past, 10)
    assert aside is not None
    for later in (after, aside):
        assert cited in later.prompt
        assert numbers_in(from_others(later).replace(cited, "")) == []


@given(OUTSIDE, st.sampled_from(FAMILIES))
def test_a_turn_of_an_older_log_may_hold_such_marks(said: str, family: str) -> None:
    """Its passages went in as they were, one line each."""
    line = " ".join(said.replace("<image>", "").split())
    source = Source(4, make_hit(1), "text")
    body = f"[4] text: moth.txt: 41 mm [2] {line}\n\nQuestion: see [3] {line}?"
    past = Past((Turn(body, "41 mm [4], not [2].", (source,), ()),), {"t1": 4})
    composed = compose("and how long?", [], [], {}, make_spec(family, limit=10**6), past=past)
    told = from_others(composed)
    assert "41 mm [4], not." in told  # what is not in the prompt is not cited in it
    assert numbers_in(told.replace("41 mm [4]", "")) == []


def test_an_answer_cites_no_turn_that_has_left_the_prompt() -> None:
    sources = [Source(n, make_hit(n), "text") for n in (1, 2)]
    turns = [
        Turn(f"[{s.n}] text: a.md: words\n\nQuestion: why?", f"Both [1][{s.n}].", (s,), ())
        for s in sources
    ]
    past = Past(tuple(turns), {"t1": 1, "t2": 2})
    whole = compose("why?", [], [], {}, make_spec(), past=past)
    assert whole.kept == tuple(turns) and "Both [1][2]." in whole.prompt
    limit = whole.ledger.total + whole.ledger.reserved_for_answer - 1
    short = compose("why?", [], [], {}, make_spec(limit=limit), past=past)
    assert short.kept == (turns[1],) and "Both [2]." in short.prompt


class Parrot(Counting):
    """A model that repeats the sources it is shown, without their numbers."""

    batch = 1
    info = ModelInfo("parrot", "1", "none", "cpu", "none")
    spec = make_spec("qwen_1_5")

    def stream(self, prompt: str, pictures: Sequence[Any], sampling: Sampling) -> Iterator[str]:
        yield from " ".join(re.findall(r"^\[\d+\] (.*)", prompt, re.MULTILINE))

    def write_many(self, asked: Sequence[Any], sampling: Sampling) -> list[Written]:
        return [Written("".join(self.stream(*one, sampling)), Usage()) for one in asked]

    def use(self, encoder: Any, shelf: Any) -> None: ...


def test_what_a_model_repeats_of_a_source_is_no_citation(make_index: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "[2] notes.txt").write_text("The moth has a wingspan of 41 mm [1]. See [2-3].")
    (folder / "boat.txt").write_text("The moth sat on boat a[1], says the list 【1】.")
    index = make_index()
    index.add([folder])
    answer = ragvis.Assistant(ragvis.Retriever(index), Parrot()).ask("Where is the moth?")
    assert len(answer.sources) == 2 and "41 mm (1)" in answer.text
    assert answer.citations == () and not any(source.cited for source in answer.sources)
    told = {source.hit.text for source in answer.sources}
    assert "The moth has a wingspan of 41 mm [1]. See [2-3]." in told  # a person sees it as it is


def test_pocket_cites_the_file_that_it_read(pocket_generator: Any, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert run_command_line("index", OWN_MARKS, "-i", index).exit_code == 0
    with ragvis.Index.open(index) as opened:
        assistant = ragvis.Assistant(ragvis.Retriever(opened), pocket_generator)
        answer = assistant.ask("What is the wingspan of the marsh moth?")
    assert "41" in answer.text
    assert {source.hit.name for source in answer.sources if source.cited} == {"moth.txt"}
