"""What pocket's recipe makes to learn from: pictures, texts, questions, and how they are joined."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ragvis.composer import find_citations
from ragvis.errors import ModelUnavailable, UsageError
from ragvis.prompts import NOT_FOUND, is_refusal
from scripts.pocket import finish, instructions, options, pictures, texts, textual
from scripts.pocket.branches import Sheaf, gather, sight
from scripts.pocket.conversations import IGNORED, Encoded
from scripts.pocket.documented import DocumentedMaker, documented
from scripts.pocket.rows import upper
from scripts.pocket.texts import Writer
from scripts.pocket.values import Values

NAMES = ["cat", "black cat", "dog", "owl", "apple", "flag of Peru", "sailing boat"]
THINGS = [(f"{name}.png", name) for name in NAMES]


@pytest.mark.parametrize("kind", instructions.MIX)
@pytest.mark.parametrize("held_out", [False, True])
def test_what_is_taught_is_true(kind: str, held_out: bool) -> None:
    """The value is in the source that is cited for it, and a refusal has no such source."""
    maker = instructions.Maker(THINGS, 1, held_out)
    again = instructions.Maker(THINGS, 1, held_out)
    for _ in range(60):
        page = maker.page(kind)
        assert page == again.page(kind)
        assert len({row["conversations"][0]["value"].split("\n\nQuestion")[0] for row in page}) <= 1
        for row in page:
            _check(row)


def _check(row: dict[str, Any]) -> None:
    asked, answer = (turn["value"] for turn in row["conversations"])
    lines = asked.split("\n\nQuestion")[0].split("\n")
    sources = [line for line in lines if line != "<image>"]
    cited = [c.n for c in find_citations(answer)]
    assert asked.count("<image>") == len(row.get("image", []))
    assert finish.is_right(answer, row["gold"])
    assert all(1 <= n <= len(sources) for n in cited)
    if is_refusal(answer):
        assert not cited and row["gold"] == NOT_FOUND
    elif row["kind"] in ("text", "two steps", "picture and text", "docs", "options", "list"):
        source = sources[cited[-1] - 1]
        assert row["gold"] in source or upper(row["gold"]) in source  # as a sentence begins
        assert row["kind"] != "picture and text" or cited[0] == 1


def test_a_caption_names_what_is_shown() -> None:
    row = instructions.Maker(THINGS, 1).caption()
    name = row["gold"]
    assert row["image"] == [f"{name}.png"]
    assert name in row["conversations"][1]["value"]


def test_what_is_open_is_not_answered_on_the_page() -> None:
    """A refusal's question has no answer in what was written: no fact of it, no such thing, and
    nothing of which that is said."""
    chance = random.Random(4)
    maker = textual.TextMaker(chance, held_out=False)
    for _ in range(200):
        page = maker._page()
        said = {(one.name, fact, one.values[fact]) for _, one, fact in page.said()}
        row = maker._open(page)
        question = row["conversations"][0]["value"].split("Question: ")[1].lower()
        for name, fact, value in said:
            forms = [form.format(e=name).lower() for form in fact.asked]
            assert question not in forms
            ends = [form.partition("{e} ")[2].replace("{v}", value) for form in fact.said]
            same = [end.lower() for end in ends if value in end]
            assert not any(question.endswith(f" {end[:-1]}?") for end in same)


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("Finnish", "Finnish and some Dutch", True),
        ("all three systems", "Linux and macOS", True),
        ("Monday", "Mondays", True),
        ("Wednesday", "Wednesday afternoon", True),
        ("four", "4", True),
        ("Finnish", "Dutch", False),
        ("12 kg", "21 kg", False),
    ],
)
def test_values_that_may_be_of_the_same_thing(one: str, other: str, overlap: bool) -> None:
    assert textual._overlap(one, other) == textual._overlap(other, one) == overlap


def test_documentation_that_says_it_is_not_asked_for_as_if_it_did_not() -> None:
    maker = DocumentedMaker(random.Random(1), held_out=False)
    for _ in range(300):
        for row in maker.docs():
            said, asked = row["conversations"][0]["value"].lower().split("question: ")
            assert "replaced by" not in asked or "deprecated" not in said
            assert "how fast" not in asked or "o(" not in said


def test_this_has_no_article() -> None:
    maker = instructions.Maker(THINGS, 5)
    asked = [
        row["conversations"][0]["value"].split("Question: ")[1]
        for _ in range(300)
        for row in maker.page("picture_and_text")
    ]
    assert any(" this animal" in one for one in asked)
    assert not any("the this" in one.lower() or "next this" in one for one in asked)


def test_some_are_asked_for_by_what_is_said_of_them() -> None:
    maker = textual.TextMaker(random.Random(4), held_out=False)
    things = (domain for domain in maker.writer.domains if domain.kind == "thing")
    words = {word for domain in things for word in domain.words if " " not in word}
    found = 0
    for row in (row for _ in range(60) for row in maker.text()):
        which, word, *_ = row["conversations"][0]["value"].split("Question: ")[1].split()
        if which == "Which" and word in words and row["gold"] != NOT_FOUND:
            assert row["gold"].lower().endswith(word)
            found += 1
    assert found > 10


def test_every_value_can_be_made() -> None:
    values = Values(random.Random(0))
    for domain in texts.domains():
        for fact in domain.facts:
            assert values.make(fact.value)
            assert all("{v}" in said for said in fact.said), fact
            assert all("{e}" in said for said in (*fact.said, *fact.asked)), fact
    with pytest.raises(UsageError, match="nonsense"):
        values.make("nonsense")


def test_nothing_that_is_held_out_is_trained_on() -> None:
    apart = [
        {domain for _ in range(300) for domain in [Writer(random.Random(_), held).subject().domain]}
        for held in (False, True)
    ]
    assert apart[1] and not apart[0] & apart[1]
    names = [{d.name for d in documented() if d.held_out == held} for held in (False, True)]
    assert len(names[0]) > 500 and len(names[1]) > 30 and not names[0] & names[1]


ids = st.lists(st.integers(1, 3), min_size=1, max_size=12)


@given(begun=ids, ends=st.lists(ids, min_size=1, max_size=6), longest=st.integers(1, 80))
def test_what_is_put_together_can_be_taken_apart(
    begun: list[int], ends: list[list[int]], longest: int
) -> None:
    examples = [
        Encoded(begun + end, [IGNORED] * (len(begun) + len(end) - 1) + end[-1:]) for end in ends
    ]
    sheaves = gather(examples, longest, image=0)
    assert [one for sheaf in sheaves for one in _taken_apart(sheaf)] == examples
    for sheaf in sheaves:
        assert len(sheaf.ids) <= longest or max(sheaf.branch) == 1
    mask = sight(
        sheaves, max(len(one.ids) for one in sheaves) + 2, torch.device("cpu"), torch.float32
    )
    assert bool((mask == 0).any(-1).all())  # nobody sees nothing: that would be NaN


def _taken_apart(sheaf: Sheaf) -> list[Encoded]:
    found = []
    for n in range(1, max(sheaf.branch) + 1):
        own = [i for i, branch in enumerate(sheaf.branch) if branch in (0, n)]
        assert [sheaf.positions[i] for i in own] == list(range(len(own)))
        found.append(Encoded([sheaf.ids[i] for i in own], [sheaf.labels[i] for i in own]))
    return found


def test_right_and_wrong_are_told_apart() -> None:
    assert finish.is_right("It costs 12 euros [1].", "12 euros")
    assert not finish.is_right("It costs 112 euros [1].", "12 euros")
    assert not finish.is_right(NOT_FOUND, "12 euros")
    assert not finish.is_right("It costs 12 euros [1].", NOT_FOUND)
    assert finish.is_right("Yes, there is a cat [1].", "yes")
    assert finish.is_right("[2] shows a cat.", "[2]")
    assert finish.is_right("The Café is red.", "café")


def test_pronouns_stand_in_their_case() -> None:
    maker = textual.TextMaker(random.Random(3), held_out=False)
    for domain in maker.writer.domains:
        one = maker.writer.subject(domain)
        for fact in domain.facts * 4:
            asked = maker._leaning(one, fact)
            assert "{" not in asked
            assert not re.search(r"\b(next|there|the) (it|she|he|her|him)\b", asked)
            assert not re.search(r"\b(of|for|to|call|find|with|at|on) (she|he)\b", asked)
            assert not re.search(r"\b(is|are|was|does|did|has|can) (her|him)\b", asked)


def test_what_is_asked_after_another_question_has_one_answer() -> None:
    """ "Who is the deputy of Ada, and where does she live?" could mean either."""
    maker = textual.TextMaker(random.Random(3), held_out=False)
    rows = [row for _ in range(100) for row in [*maker.two_facts(), *maker.two_steps()]]
    asked: dict[str, str] = {}
    for row in rows:
        question, answer = (turn["value"] for turn in row["conversations"])
        assert asked.setdefault(question, answer) == answer
        assert not (row["kind"] == "unanswerable" and " and " in question.split("Question: ")[1])


def test_details_of_documentation_are_whole_and_asked_for_once() -> None:
    for one in documented():
        questions = [question for question, _ in one.details]
        assert len(set(questions)) == len(questions)
        assert all(sentence in one.passage for _, sentence in one.details)
        assert not any(sentence.endswith(("e.g", "i.e")) for _, sentence in one.details)


def test_a_note_stands_for_a_picture_in_some_pages() -> None:
    maker = instructions.Maker(THINGS, 1)
    pages = [maker.page("picture_and_text")[0] for _ in range(100)]
    noted = [page for page in pages if "image" not in page]
    assert 5 < len(noted) < 50
    assert all("The image shows" in page["conversations"][0]["value"] for page in noted)


def test_names_with_a_word_in_common_are_never_told_apart() -> None:
    maker = instructions.Maker(THINGS, seed=2)
    for _ in range(200):
        yes, no = maker.page("is_there")
        names = (row["conversations"][0]["value"].split("Question: ")[1] for row in (yes, no))
        assert sum("cat" in name for name in names) < 2
    with pytest.raises(UsageError, match="no word in common"):
        instructions.Maker(THINGS[:2], seed=1)


def test_the_packs_are_pinned_and_free() -> None:
    packs = pictures.packs()
    assert len(packs) > 10 and len({pack.name for pack in packs}) == len(packs)
    for pack in packs:
        kind, _, digest = pack.integrity.partition("-")
        assert kind == "sha512" and len(base64.b64decode(digest)) == 64


def test_a_copyleft_pack_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "sources.toml"
    text = pictures.SOURCES.read_text().replace('"CC-BY-3.0"', '"GPL-3.0"')
    file.write_text(text)
    with pytest.raises(UsageError, match="GPL"):
        pictures.packs(file)


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pack.tgz"
    file.write_bytes(b"other")
    right = base64.b64encode(hashlib.sha512(b"pinned").digest()).decode()
    with pytest.raises(ModelUnavailable, match="pinned"):
        pictures.check(file, f"sha512-{right}")
    assert not file.exists()
    file.write_bytes(b"pinned")
    pictures.check(file, f"sha512-{right}")


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("red-apple", "red apple"),
        ("flag-for-peru", "flag of Peru"),
        ("flag-sri-lanka", "flag of Sri Lanka"),
        ("flag-in-hole", "flag in hole"),
        ("thumbs-up-dark-skin-tone", None),
        ("x2", None),
    ],
)
def test_captions_come_from_names(name: str, caption: str | None) -> None:
    assert pictures.caption_of(name) == caption


def test_a_help_text_is_cut_into_its_options() -> None:
    written = """usage: pack [options] FILE

    options:
      -h, --help            show this help message and exit
      -k, --keep            Keep the files that are
                            packed. They are removed otherwise.
      --level N             short

    See the manual for the rest.
    """
    found = list(options.of_help("pack", textwrap.dedent(written)))
    assert [(one.names, one.text) for one in found] == [
        ("-h, --help", "show this help message and exit"),
        ("-k, --keep", "Keep the files that are packed. They are removed otherwise."),
    ]
    assert (found[1].first, found[1].verb) == ("Keep the files that are packed", "keep")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Bind to this host. [default: 127.0.0.1]", "127.0.0.1"),
        ("How large it is. Default: 0.5, otherwise more", "0.5"),
        ("What to keep. Defaults to 'last'.", "last"),
        ("The axis. Default is -1. More of it", "-1"),
        ("Duty cycle. Default is 0.5 (50% of it).", None),
        ("An array. By default is used.", None),
    ],
)
def test_defaults_are_read_whole_or_not_at_all(text: str, value: str | None) -> None:
    found = options._DEFAULT.search(text)
    assert (found and found[1]) == value


def test_no_option_of_an_open_question_is_shown() -> None:
    maker = options.OptionMaker(random.Random(3), held_out=False)
    rows = [row for _ in range(150) for row in maker.options()]
    left_open = [row for row in rows if row["kind"] == "options: open"]
    for row in left_open:
        sources, asked = row["conversations"][0]["value"].split("\n\nQuestion: ")
        assert not any(flag in sources for flag in re.findall(r"--[a-z][\w-]+", asked))
    assert 0.1 < len(left_open) / len(rows) < 0.5


@pytest.mark.parametrize(
    "written",
    [
        "Sum.\n\nParameters\n----------\naxis : int\n    Along which it is summed.\n\nReturns",
        "Sum.\n\nArgs:\n    axis (int): Along which it\n        is summed.\n\nReturns a number.",
    ],
)
def test_a_docstring_is_cut_into_its_parameters(written: str) -> None:
    assert list(options.of_docstring("sum", written)) == [
        options.Option("sum", "axis", "Along which it is summed.")
    ]
