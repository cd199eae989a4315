"""One form for all spellings of a text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ragvis.store.normalize import name_key, normalize, path_key

FORMS = ("NFC", "NFD", "NFKC", "NFKD")
# Half of what is drawn are characters that a rule is about
SPECIAL = "a2 -.\u00ad\u200b\u200d\ufeff\u202e²™½①ﬁﬀſßẞİıÅşéﷺーが゙각ក្ំिٱـׁً０Ａ́̈ͅ"
TEXT = st.text(st.sampled_from(SPECIAL) | st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ware\u00adhouse", "warehouse"),
        ("green\u200bhouse", "greenhouse"),
        ("com\u200cpres\u200dsor\u2060", "compressor"),
        ("\ufeffbegin mid\ufeffdle", "begin middle"),
        ("\u2067left\u2069 \u200fright\u200e\u061c", "left right"),
        ("ﬁre ﬂask oﬀer oﬃcer waﬄe ﬅop", "fire flask offer officer waffle stop"),
        ("re\u0301sume\u0301", "RÉSUMÉ"),
        ("naïve Zoë", "naive zoe"),
        ("İstanbul DIYARBAKIR", "istanbul dıyarbakır"),
        ("ＬＫ－７７１９ ｶﾞｽ", "LK-7719 ガス"),
        ("Straße GROẞE", "STRASSE grosse"),
        ("Łódź København Đà Nẵng œuvre", "lodz kobenhavn da nang OEUVRE"),
        ("it’s donʼt d‘or", "it's don't d'or"),
        ("a‐b‑c‒d–e—f―g−h", "a-b-c-d-e-f-g-h"),
        ("“no”", '"no"'),
        ("1\u00a0250\u202f000\u2009x", "1 250 000 x"),
        (unicodedata.normalize("NFD", "도서관 안내"), "도서관 안내"),
        (unicodedata.normalize("NFD", "йогурт ёлка Київ"), "йогурт елка київ"),
        (unicodedata.normalize("NFD", "ガ゙がぱ"), "ガ゙がぱ"),
        ("الكـــتاب", "الكِتَابُ"),
        ("ﺍﻟﻜﺘﺎﺏ ﻻ", "الكتاب لا"),
        ("أحمد إلى آخر", "احمد الى اخر"),
        ("کتاب فارسی", "كتاب فارسي"),
        ("שָׁלוֹם", "שלום"),
        ("١٢٣ ۴۵ १२", "123 45 12"),
        ("ά ΣΊΣΥΦΟΣ", "Α σίσυφος"),
        ("e\u0301²", "é²"),
        ("H₂O 5 m² 30 km²", "H2O 5 m2 30 km2"),
        ("№ ㎏ ℃ Ⅻ 𝐛𝐨𝐥𝐝", "no kg °c xii bold"),
    ],
)
def test_two_spellings_have_one_form(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("warranty² holds", "warranty 2 holds"),  # a footnote
        ("10² times", "10 2 times"),
        ("Acme™ pump", "acme pump"),
        ("2½ cups", "2 1⁄2 cups"),
        ("①open ❷close", "1 open 2 close"),
        ("ស្តាប់\u200bភាសា", "ស្តាប់ ភាសា"),  # in Khmer it stands between words
    ],
)
def test_what_is_a_word_of_its_own_stays_one(text: str, words: str) -> None:
    assert normalize(text).split() == words.split()


@pytest.mark.parametrize(
    ("one", "other"),
    [("हिन्दी", "हन्द"), ("ไม่", "ไม"), ("が", "か"), ("1,250", "1,25"), ("LK-7719-B", "LK-7719-C")],
)
def test_what_differs_stays_apart(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)


@given(TEXT)
@example("が゙\u0301")
@example("\u0345Ά")
def test_normalizing_again_changes_nothing(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once.casefold() == once


@given(TEXT)
@example("각ᄀ")
def test_composed_and_decomposed_have_one_form(text: str) -> None:
    assert normalize(unicodedata.normalize("NFD", text)) == normalize(text)
    assert normalize(unicodedata.normalize("NFC", text)) == normalize(text)


@given(st.text(st.characters(categories=["L", "M", "Nd", "Zs"]), max_size=8))
def test_letters_have_one_form_in_every_case_and_form(text: str) -> None:
    assert normalize(text.casefold()) == normalize(text)
    for form in FORMS:
        assert normalize(unicodedata.normalize(form, text)) == normalize(text)


def test_many_marks_in_a_row_cost_no_more_than_others() -> None:
    """The standard library takes minutes to put so many into their order."""
    marks = "\u0f71\u0f74\u0f39" * 100_000
    assert len(normalize(f"a{marks}")) > len(marks)


def test_keys_of_paths() -> None:
    assert path_key("/Notes/RE\u0301SUME\u0301.txt") == path_key("/notes/résumé.txt")
    assert path_key("./A/./b/") == path_key("a\\B") == "/a/b"
    assert path_key("../x") == "/../x"
    assert name_key("/a/B.txt") == "b.txt" == path_key("/a/B.txt").rsplit("/", 1)[-1]
    assert name_key("a／b.txt") == "a b.txt"  # a full-width one is no separator
