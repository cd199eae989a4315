"""Words of a text and of a query: which forms are found by which."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ragvis.index import Index
from ragvis.retriever import Retriever
from ragvis.store.catalog import Catalog
from ragvis.store.rows import DocumentRow, FileRow, ItemRow
from ragvis.store.tokens import indexed, words_of
from ragvis.store.words import content, content_words, missing

CASES = Path(__file__).parent / "cases"


class Shelf:
    """A catalog that is given texts one by one and asked how much of a query each has."""

    def __init__(self, folder: Path) -> None:
        self.catalog = Catalog.create(folder, {"dim": "2"})
        self._n = 0

    def put(
        self,
        text: str,
        metadata: dict[str, str] | None = None,
        path: str = "",
        title: str = "",
        shown: str = "",
    ) -> int:
        self._n += 1
        path = path or f"/{self._n}.txt"
        document = DocumentRow(f"{self._n}:text", title, metadata=metadata or {})
        row = ItemRow("text", 0, str(self._n), body=text)
        with self.catalog.commit():
            number = self.catalog.add_document(document, [row], np.ones((1, 2), np.float32))
            file = FileRow(path, shown or path, 1, 2, 3, str(self._n), "-")
            self.catalog.link(file, number)
        return self.catalog.last_id("text")

    def share(self, query: str, item: int) -> float:
        return self.catalog.word_coverage(query, [item]).get(item, (0.0,))[0]

    def found(self, query: str) -> list[int]:
        return [i for i, _ in self.catalog.word_search(query, "text", 100)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    for text in ("The allotment society meets on Tuesday.", "Our bakery opens at seven.", "Tea."):
        shelf.put(text)
    return shelf


@pytest.mark.parametrize(
    "forms",
    [
        ("warehouse", "ware\u00adhouse", "WARE\u200bHOUSE", "ware\u2060house"),
        ("flask", "ﬂask"),
        ("résumé", "resume", "re\u0301sume\u0301"),
        ("İzmir", "izmir", "IZMIR", "ızmır"),
        ("Straße", "STRASSE"),
        ("도서관", unicodedata.normalize("NFD", "도서관")),
        ("Йогурт", unicodedata.normalize("NFD", "йогурт")),
        ("ёлка", "елка"),
        ("المكتبة", "المـــكتبة", "المَكتَبة", "ﺍﻟﻤﻜﺘﺒﺔ"),
        ("हिन्दी", unicodedata.normalize("NFD", "हिन्दी")),
        ("don't", "don’t", "donʼt"),
        ("well-known", "well‑known", "well–known", "well−known"),
        ("e-mail", "email"),
        ("CO₂", "CO2"),
        ("7719", "７７１９", "٧٧١٩"),
        ("1250", "1,250", "1 250", "1\u00a0250", "1\u202f250", "1'250", "1’250"),
        ("1250000", "1,250,000", "1.250.000", "1 250 000", "1'250'000"),
        ("1250.50", "1,250.50", "1.250,50", "1 250,50"),
        ("3.5", "3,5"),
        ("LK-7719-B", "lk‑7719‑b", "LK7719B", "LK_7719_B"),
        ("555-0134", "555 0134", "5550134", "555‑0134", "555\u00a00134"),
        ("(212) 555-0134", "212-555-0134", "212 555 0134", "2125550134"),
        ("+44 20 7946 0958", "+442079460958", "+44-20-7946-0958"),
        ("030/901820", "030 901820", "030901820", "(030) 901820"),
        ("01 23 45 67 89", "0123456789", "01-23-45-67-89"),
        ("22 12 34 56", "22123456"),
        ("978-3-16-148410-0", "9783161484100"),
        ("1234 5678 9012 3456", "1234567890123456", "1234-5678-9012-3456"),
    ],
)
def test_every_form_finds_every_other(shelf: Shelf, forms: tuple[str, ...]) -> None:
    items = {form: shelf.put(f"It says {form}, for one.") for form in forms}
    for query in forms:
        found = shelf.found(query)
        for form, item in items.items():
            assert shelf.share(query, item) == pytest.approx(1.0), (query, form)
            assert item in found
    assert len({tuple(content_words(form)[:1]) for form in forms}) == 1


@pytest.mark.parametrize(
    ("query", "text", "most"),
    [
        ("LK-7719-B", "part LK-7719-C", 0.5),
        ("LK7719B", "part LK7719C", 0.0),
        ("LK-7719", "part LK-7718", 0.5),
        ("1,250", "it weighs 1,25", 0.0),
        ("1,25", "it costs 1,250", 0.0),
        ("3.5", "it has 35", 0.0),
        ("35", "it has 3.5", 0.0),
        ("3.5", "5 of 3", 0.0),
        ("1012", "pages 10-12", 0.0),
        ("192.168.1.1", "host 192.168.1.11", 0.5),
        ("2019250", "in 2019 250 people came", 0.0),
        ("500010000", "from 5 000 10 000", 0.0),
        ("5550134", "555 people, 0134 of them", 0.0),
        ("210", "10² times", 0.0),
    ],
)
def test_numbers_and_identifiers_that_differ_stay_apart(
    shelf: Shelf, query: str, text: str, most: float
) -> None:
    assert shelf.share(query, shelf.put(text)) <= most + 1e-9


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("2019", "in 2019 250 people came"),
        ("250 people", "in 2019 250 people came"),
        ("10000", "from 5 000 10 000"),
        ("2024", "on 2024-05-04"),
        ("04.05.2024", "on 04.05.2024."),
        ("LK-7719", "part LK-7719-B"),
        ("LK 7719", "part LK-7719-B"),
        ("7719", "part LK-7719-B"),
        ("1250 Euro", "1.250 Euro"),
        ("20190250", "2019-0250"),
        ("0134", "call 555-0134"),
        ("3-year warranty", "warranty of 3 years"),
        ("boilers", "the boiler"),
        ("version 1.2", "version 1.2.3"),
    ],
)
def test_pieces_and_neighbours_are_found(shelf: Shelf, query: str, text: str) -> None:
    assert shelf.share(query, shelf.put(text)) == pytest.approx(1.0)


def test_what_is_nearly_it_counts_in_part(shelf: Shelf) -> None:
    item = shelf.put("the QX-9934-C of the row")
    assert 0.1 < shelf.share("QX-9934-B", item) < 0.5
    assert shelf.share("QX-9934-B", shelf.put("the QX-9934-B")) == pytest.approx(1.0)


# Pieces of which all that the rules are about can be made
PIECES = st.sampled_from(
    [
        *(" ", "\u00a0", "\n", "e\u0301", "\u00ad"),
        *"125-.,'/()+_:Bé²½①−도ﬂ",
        *"0 12 250 000 555 0134 lk दी 中文".split(),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@given(TEXTS)
@example("a-555 0134 5678")
@example("030 901820 12kg")
@example("1 250kg")
@example("+1 (2)0/1 000 1 000")
def test_a_text_is_found_by_each_of_its_own_words(text: str) -> None:
    """The way of an index and the way of a query agree."""
    there = f" {indexed(text)} "
    for word in words_of(text):
        assert f" {word.text} " in there
        assert all(f" {piece} " in there for piece in word.pieces)
    assert missing(words_of(text), text) == []


@given(TEXTS)
def test_spelling_is_nothing_to_words(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert indexed(unicodedata.normalize(form, text)) == indexed(text)
    assert indexed(text.upper()) == indexed(text)
    assert indexed(text.replace(" ", "\u00a0")) == indexed(text)


@given(TEXTS, TEXTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_sqlite_finds_what_python_finds(shelf: Shelf, text: str, query: str) -> None:
    words = content(query)
    assume(words)
    item = shelf.put(text)
    for word in words:
        is_there = any(f" {form} " in f" {indexed(text)} " for form in word.forms)
        assert (shelf.share(word.text, item) == pytest.approx(1.0)) >= is_there
    share = shelf.share(query, item)
    assert (share == pytest.approx(1.0)) >= (missing(words, text) == [] and not any_pieces(words))
    assert (item in shelf.found(query)) == (share > 0)


def any_pieces(words: list[Any]) -> bool:
    return any(word.pieces for word in words)


def test_long_and_hostile_texts_take_no_long_time() -> None:
    for text in ("1" * 200_000, "a-" * 100_000, "1 000 " * 50_000, "1.1" * 50_000, "(0" * 50_000):
        assert indexed(text)
        assert words_of(text)
    for text in ("1,000" * 40_000, "+1 1" * 40_000, "\u0301" * 200_000, "²" * 200_000):
        indexed(text)


def test_a_very_long_query_is_searched(shelf: Shelf) -> None:
    query = " ".join(f"word{n}" for n in range(3000)) + " bakery"
    assert shelf.found(query)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("warehouse compressor", "soft.txt"),
        ("greenhouse thermostat", "zwsp.txt"),
        ("officer flask", "liga.txt"),
        ("도서관 안내", "ko.txt"),
        ("йогурт буфете", "ru.txt"),
        ("istanbul izmir", "tr.txt"),
        ("resume drawer", "resume.txt"),
    ],
)
def test_files_as_they_are_found_in_the_wild(
    make_index: Callable[..., Index], query: str, name: str
) -> None:
    index = make_index()
    index.add([CASES / "words_invisible", CASES / "words_nfd"])
    for form in ("NFC", "NFD"):
        asked = unicodedata.normalize(form, query)
        hit = Retriever(index).search(asked, k=1, modality="text")[0]
        assert (hit.name, hit.scores["words"]) == (name, 1.0)


def test_titles_headings_names_and_captions_have_one_form_too(
    tmp_path: Path, make_index: Callable[..., Index]
) -> None:
    from PIL import Image

    root = tmp_path / unicodedata.normalize("NFD", "Café")
    root.mkdir()
    heading = unicodedata.normalize("NFD", "Überprüfung der Öfen")
    (root / "a.md").write_text(f"# Haupt\u00adsache\n\n{heading}\n---\n\nAlles gut.")
    Image.new("RGB", (9, 9)).save(root / (unicodedata.normalize("NFD", "Müller’s Œuvre") + ".png"))
    (root / "b.html").write_text("<p>x<img src='a.png' alt='gr\u00adüner ﬂoh'>")
    index = make_index()
    index.add([root])
    for query, name in (
        ("Hauptsache überprüfung öfen", "a.md"),
        ("café müller's oeuvre", unicodedata.normalize("NFD", "Müller’s Œuvre") + ".png"),
    ):
        hits = [
            Retriever(index).search(unicodedata.normalize(form, query), k=1)[0]
            for form in ("NFC", "NFD")
        ]
        assert {hit.name for hit in hits} == {name}
        assert hits[0].scores["words"] == hits[1].scores["words"] > 0.9


def test_a_tag_is_found_and_does_not_outrank_the_body(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "i")
    tagged = [shelf.put(f"passage {n} of something", {"tags": "boiler, valve"}) for n in range(9)]
    said = shelf.put("the boiler is in the cellar")
    assert shelf.found("boiler")[0] == said
    assert set(shelf.found("boiler")) == {said, *tagged}
    assert shelf.share("boiler", said) == 1.0 and shelf.share("boiler", tagged[0]) == 0.5
    assert shelf.share("something boiler", tagged[0]) > shelf.share("something boiler", said)
    both = shelf.put("a valve here", {"tags": "valve"})
    assert shelf.share("valve", both) == 1.0
    assert shelf.found("language de") == []
