"""Characters of a PDF that have no meaning: their font does not say what they stand for."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pypdfium2.raw as pdfium_c

from ragvis.documents.pdf_objects import address
from ragvis.documents.pdf_text import Characters, Span, merged

LOST = "\ufffd"
MUCH = 0.2  # of a page's characters: then the page says more as a picture
_HYPHEN = 2  # pdfium's own code for one at the end of a line
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Control characters, private ones, lone surrogates, U+FFFD, and U+FFFE, which may be a hyphen
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffd\ufffe"
    "\U000f0000-\U0010fffd]"
)
_LONE_RETURN = re.compile("\r(?!\n)")
_WORD = re.compile(r"[^\W_]{2}")
_TOKEN = re.compile(r"\S+[ \t]*")
_MANY = 0.25  # control characters among those of a font that are not mapped
# Adobe's own code points for old-style figures and small capitals
_PRIVATE = {
    **{0xF730 + n: 0x30 + n for n in range(10)},
    **{0xF761 + n: 0x61 + n for n in range(26)},
}
_BULLET = re.compile(f"^([ \t]*){LOST}(?=\\s)", re.MULTILINE)  # of a symbol font
# Drawn within a line, or it would not be there: pdfium leaves invisible ones out.
_SOFT_HYPHEN = re.compile(r"(?<=\w)\u00ad(?=\w)")


def readable(characters: Characters) -> tuple[str, tuple[Span, ...], float]:
    """The text with U+FFFD for each character that has no meaning, the stretches that consist of
    such, and the share of them."""
    text = characters.text
    if "\u00ad" in text:
        text = _SOFT_HYPHEN.sub("-", text)
    if not _odd(characters, text):
        return text, (), 0.0
    text = text.translate(_PRIVATE)
    lost = _odd(characters, text)
    controls = [place for place in lost if _CONTROL.match(text[place])]
    if any(_stands_among_unmapped(characters, place) for place in controls):
        lost |= set(_of_unmapped_fonts(characters))
    chars = list(text)
    for place in lost:
        chars[place] = LOST
    text = "".join(chars)
    garbled = len(lost) / max(1, len("".join(text.split())))
    if garbled < MUCH:
        text = _BULLET.sub(r"\1•", text)
    return text, _stretches(text), garbled


def _odd(characters: Characters, text: str) -> set[int]:
    """Places of what is no character of any writing, but for hyphens at the ends of lines."""
    places = {match.start() for match in _ODD.finditer(text)}
    if text.count("\r") > text.count("\r\n"):
        places |= {match.start() for match in _LONE_RETURN.finditer(text)}
    page = characters.textpage.raw
    return {
        place
        for place in places
        if text[place] != "\ufffe"  # pdfium gives it out for NUL too
        or pdfium_c.FPDFText_GetUnicode(page, characters.number(place)) != _HYPHEN
    }


def _stands_among_unmapped(characters: Characters, place: int) -> bool:
    """Whether its font may mean nothing, rather than have one symbol too many."""
    page, number = characters.textpage.raw, characters.number(place)
    beside = (number - 1, number + 1)
    return any(pdfium_c.FPDFText_HasUnicodeMapError(page, n) == 1 for n in beside)


def _of_unmapped_fonts(characters: Characters) -> Iterator[int]:
    """Places of characters for which pdfium gives out their number in the font.

    Many such numbers are the characters' own, so the font decides: in any writing the most
    frequent one is a blank or a letter, and never a control character.
    """
    page = characters.textpage.raw
    by_font: defaultdict[int, list[int]] = defaultdict(list)
    for number in range(characters.textpage.count_chars()):
        if pdfium_c.FPDFText_HasUnicodeMapError(page, number) == 1:
            text_object = pdfium_c.FPDFText_GetTextObject(page, number)
            font = pdfium_c.FPDFTextObj_GetFont(text_object) if text_object else None
            by_font[address(font)].append(number)
    for numbers in by_font.values():
        codes = Counter(chr(pdfium_c.FPDFText_GetUnicode(page, number)) for number in numbers)
        if _is_numbering(codes):
            yield from (p for p in map(characters.place, numbers) if p is not None)


def _is_numbering(codes: Counter[str]) -> bool:
    ((commonest, _),) = codes.most_common(1)
    controls = sum(count for code, count in codes.items() if _CONTROL.match(code))
    return bool(_CONTROL.match(commonest)) or controls >= _MANY * codes.total()


def _stretches(text: str) -> tuple[Span, ...]:
    """Words of which half is lost, with what follows them; all, where no word is left."""
    spans = [
        match.span()
        for match in _TOKEN.finditer(text)
        if 2 * match[0].count(LOST) >= len(match[0].rstrip())
    ]
    kept, at = [], 0
    for start, end in spans:
        kept.append(text[at:start])
        at = end
    if spans and not _WORD.search(" ".join([*kept, text[at:]])):
        return ((0, len(text)),)
    return merged(spans)
