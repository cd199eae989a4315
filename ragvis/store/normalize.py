"""One form for all spellings of a text, in which words and names are compared.

It is much like the case folding of Unicode's NFKC_Casefold (UAX 31) with the marks removed that
searchers leave out, as ICU's and Lucene's folding filters do.
"""

from __future__ import annotations

import re
import unicodedata

_MOST_KNOWN = 50_000  # characters whose form is kept in memory
# Marks over and under letters of the scripts in which people leave them out. Elsewhere, as in
# Hindi and Thai, they are vowels.
_LEFT_OUT = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06ed\u08d3-\u08ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f]"
)
# Nothing is seen of these, though they are no format characters: fillers, variation selectors.
_UNSEEN = re.compile("[\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufe00-\ufe0f]")
_ALIKE = {
    **dict.fromkeys("‐‑‒–—―−⁃֊־", "-"),
    **dict.fromkeys("‘’‚‛ʹʻʼʽˈ′´`", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
}
# Letters that Unicode does not take apart
_ALIKE |= {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe"}
# Arabic letters that keyboards of other languages write otherwise, and a line that stretches
_ALIKE |= {"ى": "ي", "ی": "ي", "ک": "ك", "ة": "ه", "ـ": "", "٫": ".", "٬": ","}
# Each is a word by itself, and no part of the one before it: "Acme™", "2½", "①"
_APART = re.compile(
    "[™℠\u00bc-\u00be\u2150-\u215f\u2189\u2460-\u24ff\u2776-\u2793\u3200-\u32ff"
    "\U0001f100-\U0001f16f]"
)
# So is a footnote's number, but not a part of a unit's name: "warranty²", "km²"
_RAISED = "\x1f"  # stands before a raised digit until that is known; no text is left with it
_IN_A_UNIT = re.compile(rf"(?<![^\W\d_])([^\W\d_]{{1,3}})((?:{_RAISED}[0-9])+)")
# Where words are written without spaces, this one stands between them.
_UNSEEN_SPACE = re.compile("(?<=[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b")
# Putting marks into their order takes time that grows with the square of their number.
_MARKS_IN_A_ROW = re.compile(r"([^\w\x00-\x7f]{30})(?=[^\w\x00-\x7f])")


def normalize(text: str) -> str:
    """The same for every spelling of a text: upper and lower case, composed and decomposed
    letters, ligatures, full-width and other digits, with and without accents, invisible
    characters, typographic hyphens, apostrophes and spaces.

    Case folding is the full one, with ``ss`` for ``ß``; the Turkish i's are all ``i``. Normalizing
    again changes nothing.
    """
    if "\u200b" in text:
        text = _UNSEEN_SPACE.sub(" ", text)
    text = text.translate(_FORMS)
    if _RAISED in text:
        text = _IN_A_UNIT.sub(lambda m: m[1] + m[2].replace(_RAISED, ""), text)
        text = text.replace(_RAISED, " ")
    if not text.isascii():
        text = unicodedata.normalize("NFC", _MARKS_IN_A_ROW.sub(r"\1 ", text))
    return text


def path_key(path: str) -> str:
    """A path as filters compare it: normalized, with ``/`` before each of its parts."""
    parts = path.replace("\\", "/").split("/")
    return "".join(f"/{name_key(part)}" for part in parts if part not in ("", "."))


def name_key(path: str) -> str:
    """A path's last part as filters compare it."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    return normalize(name).replace("/", " ")


class _Forms(dict[int, str]):
    """Code point -> what its character is compared as, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        form = self[code] = _form(chr(code))
        return form


def _form(char: str) -> str:
    if char in "™℠":
        return " "
    if char in "²³¹⁰⁴⁵⁶⁷⁸⁹":
        return _RAISED + unicodedata.normalize("NFKD", char)
    parts = unicodedata.normalize("NFKD", char).casefold()
    form = "".join(map(_plain, unicodedata.normalize("NFKD", parts)))
    return f" {form} " if _APART.match(char) else form


def _plain(char: str) -> str:
    if char in _ALIKE:
        return _ALIKE[char]
    category = unicodedata.category(char)
    if category == "Cf" or _UNSEEN.match(char) or (category == "Mn" and _LEFT_OUT.match(char)):
        return ""
    if category == "Nd" or (category == "No" and _APART.match(char)):
        return str(int(unicodedata.numeric(char)))
    if (category == "Cc" and char not in "\t\n\r") or _APART.match(char):
        return " "
    return char


_FORMS = _Forms()
