"""A Markdown file's front matter is metadata, and its headings are what its reader sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragvis.documents import Document, read
from ragvis.documents.front_matter import front_matter
from ragvis.documents.markdown import as_seen, headings, without_comments
from ragvis.documents.passages import Cutter

CASES = Path(__file__).parent / "cases" / "front_matter"


def document_of(folder: Path, text: str) -> Document:
    file = folder / "note.md"
    file.write_bytes(text.encode())
    return read(file)


def titles(text: str) -> list[str]:
    return [heading.title for heading in headings(without_comments(text))]


def said(text: str) -> Mapping[str, str]:
    matter = front_matter(text)
    assert matter is not None
    return matter.values


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


# --- front matter -------------------------------------------------------------------------------


def test_the_cases() -> None:
    boiler = read(CASES / "2024-05-04-b.md")
    assert boiler.title == "Boiler service"
    assert boiler.metadata == {
        "title": "Boiler service",
        "date": "2024-05-04",
        "status": "draft",
    }
    assert boiler.pages[0].headings == ()
    assert "draft" not in boiler.pages[0].text
    shed = read(CASES / "comment.md")
    assert (shed.title, shed.pages[0].headings) == ("Garden shed", ())
    guide = read(CASES / "list_rule.md")
    assert [h.title for h in guide.pages[0].headings] == ["Guide"]


def test_front_matter_is_in_no_passage_and_spans_point_into_the_file(tmp_path: Path) -> None:
    lines = ["---", "title: Pump", "---", "", "Intro.", "", "# Use <!-- x -->", "", "Go.", ""]
    text = "\r\n".join(lines)
    page = document_of(tmp_path, text).pages[0]
    assert len(page.text) == len(text)
    passages = Cutter(count_words, 3, floor=1).cut(page)
    assert [p.text.split()[0] for p in passages] == ["Intro.", "#", "Go."]
    assert [p.section for p in passages] == ["", "Use", "Use"]
    assert text[slice(*passages[0].span)].strip() == "Intro."
    assert text[slice(*passages[-1].span)].strip() == "Go."


@pytest.mark.parametrize(
    ("inside", "values"),
    [
        ("date: 2024-05-04\ntitle: Last", {"date": "2024-05-04", "title": "Last"}),
        ("title: \"Quoted: 'well'\"\nby: 'it''s'", {"title": "Quoted: 'well'", "by": "it's"}),
        ("tags: [boiler, heating]", {"tags": "boiler, heating"}),
        ("tags:\n  - boiler\n  - heating\n", {"tags": "boiler, heating"}),
        ("tags:\n- boiler # warm\n- heating\n", {"tags": "boiler, heating"}),
        ("author:\n  name: Orla\n  Place: Cork", {"author.name": "Orla", "author.place": "Cork"}),
        ("authors:\n- name: Ann\n- name: Ben", {"authors.name": "Ann, Ben"}),
        ("about: >\n  Two\n  lines\ntitle: T", {"about": "Two lines", "title": "T"}),
        ("about: |\n  Two\n  lines", {"about": "Two lines"}),
        ("# only\nTitle: T # why\nempty:\nnone: ~", {"title": "T"}),
        ("version: 1.10\ndraft: yes\nn: 007", {"version": "1.10", "draft": "yes", "n": "007"}),
        ("at: 2024-05-04 10:30:00 +02:00", {"at": "2024-05-04T10:30:00+02:00"}),
        ("at: 2024-13-45 7", {"at": "2024-13-45 7"}),
        ("title: Pump: a manual\ntags: [a]", {"title": "Pump: a manual", "tags": "[a]"}),
        ("title: {{ page }}", {"title": "{{ page }}"}),
        ("title: !!python/object/apply:os.getcwd []", {}),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_yaml(inside: str, values: dict[str, str], line_end: str) -> None:
    text = f"---\n{inside}\n---\n\nText.\n".replace("\n", line_end)
    matter = front_matter(text)
    assert matter is not None and matter.values == values
    assert text[matter.end :].strip() == "Text."


@pytest.mark.parametrize("end", ["---", "..."])
def test_both_ends_of_yaml_and_none_of_its_text(end: str) -> None:
    assert said(f"---   \ntitle: T\n{end}") == {"title": "T"}
    assert said(f"---\n{end}\n\nText.") == {}


def test_toml_and_json() -> None:
    toml = (
        '+++\ntitle = "Pump"\ndate = 2024-05-04\nat = 2024-05-04T10:30:00Z\ntags = ["a", "b"]\n'
        "draft = true\n[params]\nplace = 'Cork'\n+++\n\nText.\n"
    )
    assert said(toml) == {
        "title": "Pump",
        "date": "2024-05-04",
        "at": "2024-05-04T10:30:00+00:00",
        "tags": "a, b",
        "draft": "true",
        "params.place": "Cork",
    }
    assert said('{\n "title": "Pump",\n "n": 3, "tags": ["a", "b"], "no": null\n}\nText.') == {
        "title": "Pump",
        "n": "3",
        "tags": "a, b",
    }


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nA rule, then prose.\n\n---\n\nMore.\n",
        "---\ntitle: never closed\n\nText.\n",
        "Text.\n\n---\nkey: value\n---\n",
        "---\nWarning: do not open\nthe lid while it is hot.\n---\n",
        "---\n- a\n- list\n---\n",
        "+++\nno toml at all\n+++\n",
        '{"title": "in one line"}\nText.',
        "{\nnot json\n}\n",
        "---- \ntitle: T\n----\n",
    ],
)
def test_what_is_no_front_matter(text: str, tmp_path: Path) -> None:
    assert front_matter(text) is None
    document = document_of(tmp_path, text)
    assert document.metadata == {}
    assert document.pages[0].text == text


def test_a_note_of_front_matter_alone_is_found_by_it(tmp_path: Path) -> None:
    document = document_of(tmp_path, "---\ntitle: Orla Quill\nphone: 555-0134\n---\n")
    assert document.title == "Orla Quill"
    assert "555-0134" in document.pages[0].text


def test_front_matter_cannot_grow(tmp_path: Path) -> None:
    bomb = "---\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\nText."
    assert "x, x, x" not in " ".join(said(bomb).values())
    nested = "---\na: " + "[" * 8000 + "\n---\nText."
    assert front_matter(nested) is None or len(said(nested)) <= 1
    many = "---\n" + "".join(f"k{i}: v\n" for i in range(1500)) + "---\nText."
    assert len(said(many)) == 200
    assert len(said("---\nabout: " + "x" * 10_000 + "\n---\n")["about"]) == 2000
    assert front_matter("---\nabout: " + "x" * 20_000 + "\n---\n") is None


# --- headings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("**Bold** [link](https://x.org/a_(b)) `code`", "Bold link code"),
        ("The `__init__` of *this* snake_case_name", "The __init__ of this snake_case_name"),
        ("![A red bird](bird.png) Birds", "A red bird Birds"),
        ("[Setup][ref] &amp; use\\*", "Setup & use*"),
        ("~~Old~~ New <a id='x'></a><br>", "Old New"),
        ("[[Pump|the pump]] and [[Valve]]", "the pump and Valve"),
        ("Options {#options .wide}", "Options"),
        ("<https://x.org>", "https://x.org"),
        ("2 * 3 < 7", "2 * 3 < 7"),
    ],
)
def test_a_heading_as_it_is_seen(source: str, seen: str) -> None:
    assert as_seen(source) == seen
    assert titles(f"## {source} ##\n\nText.\n") == [seen]


def test_closing_marks_and_what_is_no_heading() -> None:
    assert titles("# A #\n## C#\n###\n#tag\n    # code\n# \n####### seven\n") == ["A", "C#"]
    assert titles("<h2 align='center'>A <b>page</b></h2>\n\n<h1>B</h1>") == ["A page", "B"]


@pytest.mark.parametrize(
    "text",
    [
        "1. Open the valve.\n2. Close the lid.\n---\n",
        "- one\n- two\nmore of two\n---\n",
        "> quoted\n---\n",
        "| a | b |\n---\n",
        "    code\n---\n",
        "One.\n\n---\n\nTwo.\n",
        "***\n---\n- - -\n",
        "A line.\nAnother.\nA third.\nA fourth, so this is a rule.\n---\n",
    ],
)
def test_rules_that_underline_nothing(text: str) -> None:
    assert titles(text) == []


def test_underlined_headings() -> None:
    text = "Pump *manual*\r\n=====\r\n\r\nUse in\r\ntwo lines\r\n---\r\nText\r\n"
    found = headings(text)
    assert [h.title for h in found] == ["Pump manual", "Use in two lines"]
    assert text[found[1].start :].startswith("Use in")


@pytest.mark.parametrize(
    "block",
    [
        "```\n# no\n```",
        "`````md\n```\n# no\n```\n# no\n`````",
        "~~~\n```\n# no\n~~~",
        "````\n# no\n```\n# no\n``````",
        "<!-- # no\n# no\n\nno\n---\n-->",
        "$$\n# no\nx = 1\n---\n$$",
        "```\n<!-- \n```",
        "`<!--` opens one and `-->` ends it.",
        "An unclosed <!-- comment.",
        "$$ never closed",
    ],
)
def test_blocks_whose_lines_are_no_headings(block: str) -> None:
    assert titles(f"# One\n\n{block}\n\n## Two\n") == ["One", "Two"]


def test_an_open_code_block_reaches_to_the_end() -> None:
    assert titles("# One\n\n```\n# no\n~~~\n# no\n") == ["One"]


def test_comments_are_no_text_and_code_is() -> None:
    text = "A <!-- hidden\nwords --> B\n\n```\n<!-- shown -->\n```\n`<!-- too -->`\n"
    bare = without_comments(text)
    assert len(bare) == len(text) and bare.count("\n") == text.count("\n")
    assert "hidden" not in bare and "words" not in bare
    assert "<!-- shown -->" in bare and "<!-- too -->" in bare


PIECES = [
    "# a\n",
    "b\n",
    "---\n",
    "===\n",
    "```\n",
    "~~~\n",
    "$$\n",
    "<!--",
    "-->",
    "\n",
    "- c\n",
    "é",
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_offsets_stay_the_files(text: str) -> None:
    bare = without_comments(text)
    assert len(bare) == len(text)
    assert all(a in (b, " ") for a, b in zip(bare, text, strict=True))
    for heading in headings(bare):
        assert heading.title.split()[0] in bare[heading.start :].split("\n")[0]
    matter = front_matter(text)
    assert matter is None or 0 < matter.end <= len(text)


def test_many_marks_take_no_square_of_time() -> None:
    """Each took many seconds where its work grew with the square of its length."""
    for text in (
        "# " + "#" * 200_000 + "x",
        "# a" + " " * 200_000 + "b",
        "<!--" * 50_000,
        "<!-- x --> " * 20_000,
        "$$\n" * 20_001,
        "[" * 100_000,
        "# " + "[![" * 50_000,
        "`" * 100_000 + "<!--",
        "---\n" * 50_000,
        "x\n" * 100_000 + "---",
    ):
        assert isinstance(titles(text), list)
        front_matter(text)
