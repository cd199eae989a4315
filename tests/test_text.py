"""Excerpts begin and end between words, and never inside a character."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from ragvis._text import beginning, word_end, word_start
from ragvis.cli.output import snippet

ENGLISH = "The quarterly maintenance of the compressor takes three hours. " * 20
SCRIPTS = {
    "english": ENGLISH,
    "german": "Der Oberflächenbeschichtungsauftrag wurde am Dienstag storniert. " * 20,
    "chinese": "這份合同自雙方簽字之日起生效有效期為三年" * 20,
    "japanese": "ポンプは十二ボルトで動きます。カタログをご覧ください。" * 20,
    "thai": "ปั๊มน้ำทำงานที่สิบสองโวลต์และต้องบำรุงรักษา" * 20,
    "hindi": "पंप बारह वोल्ट पर चलता है। " * 20,
    "mixed": "这是OpenAI公司的消息。" * 20,
    "emoji": "👨‍👩‍👧🏽🇩🇪🇫🇷" * 60,
    "marks": "e\u0301o\u0308" * 200,
    "one word": "x" * 900,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_word_and_no_character_is_torn(name: str) -> None:
    text = SCRIPTS[name]
    graphemes = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    for at in range(100, 180):
        start, end = word_start(text, at), word_end(text, at)
        assert end <= at <= start <= at + 40 and end >= at - 40
        assert {start, end} <= graphemes
        if name in ("english", "german", "hindi"):
            assert text[start - 1].isspace() and text[end].isspace()
        if name == "mixed":
            assert not any(
                a.isascii() and b.isascii()
                for a, b in ((text[cut - 1], text[cut]) for cut in (start, end))
            )


@given(st.text(max_size=200), st.integers(-5, 210))
def test_a_cut_is_inside_the_text_and_near(text: str, at: int) -> None:
    start, end = word_start(text, at), word_end(text, at)
    inside = max(0, min(at, len(text)))
    assert 0 <= end <= inside <= start <= len(text)
    assert start - inside <= 40 and inside - end <= 40
    for cut in (start, end):
        if 0 < cut < len(text):
            assert not unicodedata.category(text[cut]).startswith("M") or text[cut - 1] in "\n\r"


@given(st.text(max_size=300), st.integers(20, 100))
def test_a_beginning_is_no_longer_than_it_may_be(text: str, width: int) -> None:
    said = beginning(text, width)
    assert len(said) <= width
    assert said == text or (said[-1] == "…" and text.startswith(said[:-1]))


def test_a_snippet_is_whole_words() -> None:
    whole = set(ENGLISH.split())
    for width in range(30, 160):
        said = snippet(ENGLISH, width)
        assert len(said) <= width and said.endswith("…")
        assert set(said[:-1].split()) <= whole
    assert snippet("a few words") == "a few words"
    blank = snippet("one " + " " * 5000 + "two", 100)  # not all of it is looked at
    assert blank == "one …"


def test_the_last_character_is_not_torn_either() -> None:
    text = "x" * 60 + "e" + "\u0301" * 3
    assert word_start(text, 62) == len(text) and word_end(text, 62) == 60
