"""Count which letters follow each other in each language: python scripts/letter_pairs.py [FOLDER]

Writes ``ragvis/documents/letter_pairs.json``, by which texts without a declared encoding are told
apart. FOLDER holds translated programs' message catalogs, LANGUAGE/LC_MESSAGES/*.mo, as
``/usr/share/locale`` of a Linux desktop does. Only counts of letters enter the table, no text.
"""

from __future__ import annotations

import gettext
import json
import math
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ragvis.documents.code_pages import CHARACTERS, HALF_NAT, LANGUAGES, LETTER_PAIRS, pairs_of

# A language's folders, where they are not the language's own name alone.
_FOLDERS = {"pt": ["pt", "pt_BR"], "nb": ["nb", "nn"], "zh": ["zh_CN"], "en": ["de", "en_GB"]}
_MOST = 400_000  # characters of one language
_OF_ONE = 25_000  # characters of one catalog
_FEWEST = 2  # times that a pair is seen
_RARE = 2e-4  # a pair that comes less often after its first letter is left out
_CHARACTERS = 1800  # of one language, the most frequent ones
# Code pages for Romanian have the letters with a cedilla only.
_WITH_CEDILLA = str.maketrans("șțȘȚ", "şţŞŢ")
_MARKUP = re.compile(r"<[^>]{1,60}>|&\w+;|%\([^)]*\)\w|%[-\d.$#l]*[a-zA-Z]|\$\{?\w+\}?|\\.|[_&]")


def main(folder: Path) -> None:
    pairs = {name: _pairs(_text(folder, name)) for name in sorted(LANGUAGES)}
    characters = {name: _characters(_text(folder, name)) for name in sorted(CHARACTERS)}
    table = {"pairs": pairs, "characters": characters}
    text = json.dumps(table, ensure_ascii=False, indent=0, sort_keys=True)
    LETTER_PAIRS.write_text(text + "\n", encoding="utf-8")
    print(f"{LETTER_PAIRS}: {len(text):,} characters")


def _text(folder: Path, language: str) -> str:
    """Messages of the language out of many catalogs."""
    files = [
        file
        for name in _FOLDERS.get(language, [language])
        for file in sorted((folder / name / "LC_MESSAGES").glob("*.mo"))
    ]
    random.Random(1).shuffle(files)
    parts: list[str] = []
    while files and sum(map(len, parts)) < _MOST:
        messages = list(_messages(files.pop(), originals=language == "en"))
        random.Random(1).shuffle(messages)
        parts.append(_MARKUP.sub("", "\n".join(messages)[:_OF_ONE]))
    return unicodedata.normalize("NFC", "\n".join(parts)).translate(_WITH_CEDILLA)


def _messages(file: Path, *, originals: bool) -> Iterable[str]:
    with file.open("rb") as opened:
        try:
            catalog = gettext.GNUTranslations(opened)._catalog  # type: ignore[attr-defined]
        except (OSError, UnicodeDecodeError, ValueError):
            return
    for key, message in catalog.items():
        original = key if isinstance(key, str) else key[0]
        if original and isinstance(message, str) and (originals or message != original):
            yield original if originals else message


def _pairs(text: str) -> dict[str, str]:
    counts = Counter(pairs_of(text))
    firsts: Counter[str] = Counter()
    for pair, n in counts.items():
        firsts[pair[0]] += n
    kept = {p: n / firsts[p[0]] for p, n in counts.items() if n >= _FEWEST}
    return _by_cost({pair: share for pair, share in kept.items() if share >= _RARE})


def _characters(text: str) -> dict[str, str]:
    counts = Counter(c for c in text if c > "\x7f")
    total = sum(counts.values())
    return _by_cost({c: n / total for c, n in counts.most_common(_CHARACTERS) if n >= _FEWEST})


def _by_cost(shares: dict[str, float]) -> dict[str, str]:
    by_cost: dict[int, list[str]] = {}
    for text, share in sorted(shares.items()):
        by_cost.setdefault(round(-math.log(share) / HALF_NAT), []).append(text)
    return {str(cost): "".join(texts) for cost, texts in sorted(by_cost.items())}


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/locale"))
