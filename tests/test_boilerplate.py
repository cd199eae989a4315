"""Headers, footers, navigation: told apart by their recurrence, and never before a passage that
says something of its own; forms, receipts and answers that are given again are none of it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from ragvis.index import Index, boilerplate, derive
from ragvis.index.boilerplate import Boilerplate, find
from ragvis.retriever import Retriever
from ragvis.store.catalog import Catalog
from ragvis.types import Hit

PLACES = "upper lower outer inner northern southern eastern western".split()
SUBJECTS = "herons otters newts owls hedgehogs voles bats toads".split()


def prose(subject: str, sentences: int = 6) -> str:
    """What only one page says."""
    said = (f"The {subject} of {place} meadow are counted by hand." for place in PLACES)
    return "\n".join(islice(cycle(said), sentences))


def of(*documents: str | Iterable[str]) -> Boilerplate:
    """What is found in documents, each a text or a list of pages."""
    texts: list[boilerplate.Text] = []
    for number, document in enumerate(documents):
        if isinstance(document, str):
            texts += [(number, None, part) for part in document.split("\n\n")]
        else:
            texts += [(number, page, text) for page, text in enumerate(document, 1)]
    return Boilerplate(find(texts))


def lines_of(found: Boilerplate, text: str) -> set[str]:
    return {line for line in text.splitlines() if found.own(line)[1] < 1}


def test_navigation_and_footers_of_pages_are_boilerplate() -> None:
    top, end = "Home\nAbout us\nContact", "© {} Marsh Trust.\nBuilt with Sphinx"
    pages = [f"{top}\n\n{prose(s)}\n\n{end.format(2010 + n)}" for n, s in enumerate(SUBJECTS)]
    found = of(*pages)
    for n, page in enumerate(pages):
        assert lines_of(found, page) == set(f"{top}\n{end.format(2010 + n)}".splitlines())
        own, share = found.own(page)
        assert own.strip("\n") == page.split("\n\n")[1] and 0.5 < share < 1


def test_running_headers_of_one_document_are_boilerplate() -> None:
    def header(page: int) -> str:
        return f"Ref: CE/HP/0417 Lease of the boat house Page {page} of 8"

    pages = [f"{header(n)}\n{prose(s)}" for n, s in enumerate(SUBJECTS, 1)]
    found = of(pages)
    assert lines_of(found, pages[0]) == {header(1)}


def test_pages_of_a_plain_text_are_told_by_their_numbers() -> None:
    pages = [
        f"RFC 99   The Marsh Protocol   May 2001\n\n{prose(s, 12)}\n\nHeron & Vole     [Page {n}]"
        for n, s in enumerate(SUBJECTS, 1)
    ]
    found = of("\n\n".join(pages))
    first = pages[0].splitlines()
    assert lines_of(found, pages[0]) == {first[0], first[-1]}


def test_lines_between_boilerplate_and_the_edge_are_known_by_their_labels() -> None:
    end = "This message: [ Message body ]\nNext message: {0}\nPrevious: {1}\nSorted: [ by date ] "
    end += "[ by author ] [ by thread ]"
    mails = [
        f"Hello,\n\n{prose(s, 9)}\n\n" + end.format(f"Ann on {s}", f"Bo on the {s} again")
        for s in SUBJECTS
    ]
    found = of(*mails)
    assert "Next message: Ann on voles" in lines_of(found, mails[5])
    assert lines_of(found, f"Next step: {prose('voles')}") == set()


FORM = """Leave request form

Name: {name}
Staff number: {n}
Department: Sales
From: {n} May 2024
Number of days: {n}
I confirm that my work is handed over.

Approved by: Head of Sales"""
RECEIPT = "ACME STORES\n12 High Street\nReceipt no. {n}\n{goods}  {n}.20\nTOTAL {n}.20\nThank you"
FAQ = "May I return it?\nYes, within fourteen days."


@pytest.mark.parametrize(
    "documents",
    [
        [FORM.format(n=n, name=name) for n, name in enumerate(SUBJECTS)],
        [[FORM.format(n=n, name=name) for n, name in enumerate(SUBJECTS)]],
        [RECEIPT.format(n=n, goods=goods) for n, goods in enumerate(SUBJECTS)],
        ["\n\n".join(RECEIPT.format(n=n, goods=g) for n, g in enumerate(SUBJECTS))],
        [f"{prose(s)}\n\n{FAQ}\n\n{prose(s[::-1])}" for s in SUBJECTS],
        [
            f"# {s}\n{prose(s)}\n\n## Warranty\n\nTwo {s} on all parts, one on batteries"
            for s in SUBJECTS
        ],
        ["A note of one page.\nHome", "Another.\nHome"],
        [],
        [""],
    ],
    ids="forms one-file-of-forms receipts ledger faq headings few none empty".split(),
)
def test_what_is_said_again_for_good_reason_is_none(documents: list[str | list[str]]) -> None:
    assert of(*documents).lines == frozenset()


@given(st.lists(st.text("ab1 .:\n", max_size=60), max_size=12), st.integers(0, 3))
def test_any_texts_are_taken(texts: list[str], pages: int) -> None:
    found = of(*texts, texts[:pages])
    assert Boilerplate.parse(Boilerplate(found.lines, 3, 7).to_json()) == Boilerplate(
        found.lines, 3, 7
    )
    for text in texts:
        own, share = found.own(text)
        assert 0 <= share <= 1 and set(own.splitlines()) <= set(text.splitlines())


def site(folder: Path) -> Path:
    """Pages with navigation and a footer; one of them is about their words."""
    folder.mkdir()
    body = {s: prose(s).replace("\n", "</p><p>") for s in SUBJECTS}
    body["press"] = (
        "We print what others wrote.</p><p>The copyright of a poem ends in seventy years."
    )
    for subject, text in body.items():
        (folder / f"{subject}.html").write_text(
            f"<title>{subject} — Marsh documentation</title><ul><li>Home<li>Navigation<li>List</ul>"
            f"<h1>{subject}</h1><p>{text}</p>"
            "<div>© Copyright Marsh Trust.</div><div>Built with Sphinx using a theme.</div>"
        )
    return folder


def is_furniture(hit: Hit) -> bool:
    return not hit.text or not any(w in hit.text for w in ("meadow", "print", "poem"))


def test_boilerplate_is_never_before_what_says_the_words_itself(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    index = make_index()
    index.add([site(tmp_path / "site")])
    retriever = Retriever(index)
    first, *others = retriever.search("copyright", k=9, modality="text")
    assert "poem" in (first.text or "") and first.score > 0.5
    assert all(h.score < first.score / 4 for h in others)
    for query in ("marsh documentation herons", "list of otters", "sphinx theme newts"):
        assert not is_furniture(retriever.search(query, k=3, modality="text")[0])
    # Where nothing else has the words, it is still found
    assert "Sphinx" in (retriever.search("sphinx", k=1, modality="text")[0].text or "")
    assert retriever.search("sphinx", k=1, modality="text")[0].score < 0.5


def test_a_page_header_is_not_what_a_page_says(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    (tmp_path / "mine").mkdir()
    canvas = Canvas(str(tmp_path / "mine" / "boat house.pdf"))
    for page, subject in enumerate(SUBJECTS, 1):
        lines = [f"Ref: CE/HP/0417 Lease of the boat house, page {page}"]
        lines += textwrap.wrap(prose(subject), 60)
        if subject == "bats":
            lines.append("Who ends the lease gives three months of notice.")
        for n, line in enumerate(lines):
            canvas.drawString(72, 760 - 16 * n, line)
        canvas.showPage()
    canvas.save()
    index = make_index()
    index.add([tmp_path / "mine"])
    hits = Retriever(index).search("lease", k=5, modality="text")
    assert hits[0].page == 7 and hits[0].score > 3 * hits[1].score
    # The number of a line is its own, as only numbers tell such lines apart
    assert Retriever(index).search("lease page 3", k=1, modality="text")[0].page == 3


def test_words_of_the_title_alone_count_less_than_words_of_the_text(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    text = "\n\n".join(prose(s) for s in SUBJECTS)
    (folder / "lease.md").write_text(f"# Rules\n\n{text}")
    (folder / "letter.txt").write_text("Dear Ann, the lease ends in May. Yours, Bo")
    index = make_index()
    index.add([folder])
    hits = Retriever(index).search("lease", k=4, modality="text")
    assert [h.name for h in hits[:2]] == ["letter.txt", "lease.md"]
    assert hits[0].score > 3 * hits[1].score > 0.02


def test_it_is_looked_for_again_as_an_index_changes(
    tmp_path: Path, make_index: Callable[..., Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = site(tmp_path / "site")
    index = make_index()

    def lines() -> frozenset[int]:
        with index.reading() as view:
            return view.boilerplate.lines

    for page in sorted(folder.iterdir())[boilerplate.MANY - 1 :]:
        page.rename(tmp_path / page.name)
    index.add([folder])
    assert not lines()
    for page in sorted(tmp_path.glob("*.html")):
        page.rename(folder / page.name)
    index.add([folder])
    known = lines()
    assert known
    # Few changes to many passages are not worth reading all of them
    monkeypatch.setattr(derive, "_SMALL_TEXT", 0)
    monkeypatch.setattr(boilerplate, "find", lambda _: frozenset())
    (folder / "new.txt").write_text("One more.")
    index.add([folder])
    assert lines() == known
    index.remove([folder / f"{s}.html" for s in SUBJECTS])
    assert not lines()


def test_an_older_index_gets_it_with_the_next_run(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    folder = site(tmp_path / "site")
    index = make_index()
    index.add([folder])
    with closing(Catalog.open(index.path, write=True)) as catalog, catalog.commit():
        catalog._db.execute("DELETE FROM meta WHERE key = 'boilerplate'")
    with index.reading() as view:
        assert view.boilerplate == Boilerplate()
    index.add([folder])
    with index.reading() as view:
        assert view.boilerplate.lines and view.boilerplate.passages == index.status().passages


def test_a_long_list_of_lines_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boilerplate, "_MOST", 3)
    random = np.random.default_rng(0)
    rows = ["".join(map(chr, row)) for row in random.integers(97, 122, (30, 20))]
    found = of(*(f"{chr(10).join(rows)}\n\n{prose(s, 40)}" for s in SUBJECTS))
    assert len(found.lines) == 3
