"""Which code page a text is written in that does not say so.

Every code page turns the same bytes into other letters; the right one makes letters that follow
each other in some language. So each candidate is read in each language that is written with it,
and pays for every pair of letters the negative logarithm of how often the second follows the first
there (counted by ``scripts/letter_pairs.py``). The cheapest wins. Only words that hold a character
outside ASCII are looked at: all code pages agree about the rest.
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

LETTER_PAIRS = Path(__file__).with_name("letter_pairs.json")
HALF_NAT = 0.5  # the unit of its costs

# What is written in each family of code pages.
_WEST = tuple("en de fr es it pt nl da sv nb fi is fo ca gl eu ga sq af".split())
_CENTRAL = tuple("pl cs sk hu hr sl ro".split())
_BALTIC = tuple("lt lv et".split())
_CYRILLIC = tuple("ru uk bg sr mk be".split())
LANGUAGES = {*_WEST, *_CENTRAL, *_BALTIC, *_CYRILLIC, *"tr vi el he ar fa th".split()}
CHARACTERS = {"zh", "zh_TW", "ja", "ko"}  # written in characters, too many for pairs
_SMALL = {"fo", "gl", "eu", "ga", "sq", "af"}  # languages with few speakers
_SMALL_COST = 1.5


@dataclass(frozen=True, slots=True)
class _CodePage:
    name: str
    languages: tuple[str, ...]
    cost: float  # nats: how much rarer than Windows-1252 it is among people's files


_CODE_PAGES = (
    _CodePage("cp1252", _WEST, 0),
    _CodePage("iso8859-15", _WEST, 5),
    _CodePage("mac-roman", _WEST, 3),
    _CodePage("cp850", _WEST, 3),
    _CodePage("cp1250", _CENTRAL, 1),
    _CodePage("iso8859-2", _CENTRAL, 2),
    _CodePage("cp852", _CENTRAL, 4),
    _CodePage("cp1251", _CYRILLIC, 1),
    _CodePage("koi8-r", _CYRILLIC, 2),
    _CodePage("koi8-u", _CYRILLIC, 2.5),
    _CodePage("cp866", _CYRILLIC, 3),
    _CodePage("iso8859-5", _CYRILLIC, 3),
    _CodePage("cp855", _CYRILLIC, 5),
    _CodePage("mac-cyrillic", _CYRILLIC, 5),
    _CodePage("cp855", _CYRILLIC, 5),
    _CodePage("cp1253", ("el",), 1),
    _CodePage("iso8859-7", ("el",), 2),
    _CodePage("cp1254", ("tr",), 1.5),
    _CodePage("cp1255", ("he",), 1),
    _CodePage("cp1256", ("ar", "fa"), 1),
    _CodePage("iso8859-6", ("ar",), 3),
    _CodePage("cp1257", _BALTIC, 1.5),
    _CodePage("cp1258", ("vi",), 2),
    _CodePage("cp874", ("th",), 1),
    _CodePage("gb18030", ("zh",), 1),
    _CodePage("cp950", ("zh_TW",), 1),
    _CodePage("cp932", ("ja",), 1),
    _CodePage("euc_jp", ("ja",), 1),
    _CodePage("cp949", ("ko",), 1),
    _CodePage("johab", ("ko",), 5),
)
_BY_NAME = {page.name: page for page in _CODE_PAGES}
_LATIN = {*_WEST, *_CENTRAL, *_BALTIC, "tr", "vi"}

# Nats that a pair costs which is not in the table.
_UNSEEN = 8.5  # both letters belong to the language
_FOREIGN = 11.5  # the second does not
_MIXED = 13.0  # letters of two scripts in one word
_NO_TEXT = 14.0  # a control character, a character for private use, or none at all
_SIGN = 4.0  # a sign of every language, after a blank, a digit or another sign
_AFTER_LETTER = 3.5  # the same, in addition
_BEFORE_LETTER = 2.0  # the letter after it, in addition to what it costs at a word's beginning
_BEFORE_BLANK = 1.5
_SIGN_INSIDE = 4.0  # a sign between two letters
_BOX = 3.0  # a line of a box drawn with characters
_SIGNS = frozenset("©®°§€£±²³µ×½¼·…–—•«»“”„‘’‚¿¡ªº´¨™\xa0")
_CAPITAL_INSIDE = 4.0  # a capital after a small letter
_ASCII_LETTER = 3.5  # a letter of ASCII in a word that is written in characters
_JOINED = 10.0  # such a word
_ASCII_WORD = 1.5  # a word of ASCII beside letters of another script: at most so much a line
_ASCII_WORDS = 6.0

_SAMPLE = 8000  # bytes looked at
_AROUND = 40  # bytes of ASCII on either side of the others
_NOT_ASCII = re.compile(rb"[\x80-\xff](?:[^\n]{0,40}[\x80-\xff]){0,200}[^\n\x80-\xff]{0,40}")
_WORD = re.compile(r"[A-Za-z]*[^\x00-\x7f](?:[A-Za-z]|[^\x00-\x7f])*")
_SIGN_IN_WORD = re.compile(
    r"[^\W\d_][\xa1-\xa9\xab-\xb4\xb6\xb8\xb9\xbb-\xbf\u2010-\u2018\u201a-\u2bff](?=[^\W\d_])"
)
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_ASCII = re.compile(r"(?<![^\W\d_])[A-Za-z]{2,}(?![^\W\d_])")


def code_page_of(data: bytes, declared: str | None = None) -> str:
    """The code page that makes the likeliest text of some bytes.

    A declared one is believed as long as it makes letters at all: its language may be one that
    is not known here.
    """
    sample = _sample(data)
    best = min(_CODE_PAGES, key=lambda page: _cost(sample, page))
    if declared is None:
        return best.name
    said = _BY_NAME.get(declared) or _CodePage(declared, tuple(sorted(LANGUAGES | CHARACTERS)), 0)
    doubt = 10 + 2 * sum(byte > 0x7F for byte in sample)
    return best.name if _cost(sample, said) > _cost(sample, best) + doubt else declared


def text_in(data: bytes, code_page: str) -> str:
    """The text of some bytes in a code page; U+FFFD stands for what is none."""
    text = data.decode(code_page, "replace")
    if code_page == "cp1258":  # Vietnamese is written with marks of their own in it
        return unicodedata.normalize("NFC", text)
    if code_page == "cp950" and _PRIVATE.search(text):  # characters of Hong Kong
        return data.decode("big5hkscs", "replace")
    return text


def pairs_of(text: str) -> Iterator[str]:
    """Each two letters of words that are not all ASCII, without case; a word's edges count too."""
    for match in _WORD.finditer(text):
        start, end = match.span()
        letters = [_letter(c) for c in text[max(start - 1, 0) : end + 1]]
        padded = [*([] if start else [" "]), *letters, *([] if end < len(text) else [" "])]
        yield from (a + b for a, b in pairwise(padded))


def _sample(data: bytes) -> bytes:
    """The bytes that are not ASCII with what stands around them on their lines."""
    parts: list[bytes] = []
    room = _SAMPLE
    done = 0
    for match in _NOT_ASCII.finditer(data):
        start = max(match.start() - _AROUND, done)
        start = max(start, data.rfind(b"\n", start, match.start()) + 1)
        done = match.end()
        parts.append(data[start : min(done, start + room)])
        room -= len(parts[-1])
        if room <= 0:
            break
    return b"\n".join(parts)


def _cost(sample: bytes, page: _CodePage) -> float:
    """Nats that the sample costs in the likeliest language of a code page."""
    text = text_in(sample, page.name)
    own = [name for name in page.languages if name in LANGUAGES]
    counts = Counter(pairs_of(text)) if own else Counter()
    costs = [_cost_of_pairs(counts, name) for name in own]
    costs += [_cost_of_characters(text, name) for name in page.languages if name in CHARACTERS]
    return page.cost + min(costs) + _cost_of_shape(text, latin=page.languages[0] in _LATIN)


def _cost_of_pairs(counts: Mapping[str, int], language: str) -> float:
    known = _language(language)
    own = sum(n * known.cost(pair) for pair, n in counts.items())
    return own + (_SMALL_COST if language in _SMALL else 0)


def _cost_of_characters(text: str, language: str) -> float:
    known = _language(language)
    own = sum(n * known.cost(c) for c, n in Counter(text).items() if c > "\x7f")
    inside = (sum(c < "\x80" for c in match[0]) for match in _WORD.finditer(text))
    return own + sum(_ASCII_LETTER * n + _JOINED for n in inside if n)


def _cost_of_shape(text: str, *, latin: bool) -> float:
    """What no language has: capitals and signs inside of words, foreign words on every line."""
    cost = _SIGN_INSIDE * len(_SIGN_IN_WORD.findall(text)) + _CAPITAL_INSIDE * sum(
        a.islower() and b.isupper() for a, b in pairwise(text) if not (a + b).isascii()
    )
    if latin:
        return cost
    foreign = (_ASCII_WORD * len(_ASCII.findall(line)) for line in text.split("\n"))
    return cost + sum(min(_ASCII_WORDS, words) for words in foreign)


class _Language:
    """The costs of one language's pairs of letters, or of its characters."""

    def __init__(self, by_cost: Mapping[str, str], width: int) -> None:
        self._costs = {
            texts[i : i + width]: int(cost) * HALF_NAT
            for cost, texts in by_cost.items()
            for i in range(0, len(texts), width)
        }
        self._letters = frozenset("".join(by_cost.values()))

    def cost(self, text: str) -> float:
        """Nats of a pair of letters, or of a character."""
        cost = self._costs.get(text)
        if cost is None:
            cost = self._costs[text] = self._unseen(text)
        return cost

    def _unseen(self, text: str) -> float:
        first, last = text[0] if len(text) > 1 else " ", text[-1]
        if last in " .0":
            return _BEFORE_BLANK if first in _SIGNS else _UNSEEN
        if last == "\ufffd" or unicodedata.category(last) in ("Cc", "Cn", "Co", "Cs"):
            return _NO_TEXT
        if _is_box(last):
            return _BOX if first == " " or _is_box(first) else _FOREIGN
        if last in _SIGNS:
            return _SIGN + (_AFTER_LETTER if first.isalpha() else 0)
        if first in _SIGNS:
            return self.cost(" " + last) + _BEFORE_LETTER
        if _script(first) and _script(last) and _script(first) != _script(last):
            return _MIXED
        return _UNSEEN if last in self._letters else _FOREIGN


@functools.cache
def _language(name: str) -> _Language:
    table = _table()
    if name in CHARACTERS:
        return _Language(table["characters"][name], 1)
    return _Language(table["pairs"][name], 2)


@functools.cache
def _table() -> dict[str, dict[str, dict[str, str]]]:
    table: dict[str, dict[str, dict[str, str]]] = json.loads(LETTER_PAIRS.read_text("utf-8"))
    return table


@functools.lru_cache(maxsize=4096)
def _letter(character: str) -> str:
    """A letter without case; digits, blanks and signs of ASCII are one each."""
    if character > "\x7f" or character.isalpha():
        lower = character.lower()
        return lower if len(lower) == 1 else lower[0]
    if character.isdigit():
        return "0"
    return " " if character.isspace() else "."


@functools.cache
def _script(character: str) -> str:
    """The script of a letter, as ``LATIN``; "" for other characters."""
    if not character.isalpha():
        return ""
    script = unicodedata.name(character, "?").split()[0]
    return "" if script in ("FEMININE", "MASCULINE") else script


def _is_box(character: str) -> bool:
    return "\u2500" <= character <= "\u259f"
