"""What Python's own documentation says of its functions: texts of the world (PSF licence)."""

from __future__ import annotations

import functools
import importlib
import inspect
import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from scripts.pocket.rows import Row, Sheet, cited, upper

_MODULES = (
    "argparse bisect calendar collections configparser contextlib copy csv datetime decimal "
    "difflib email.utils fileinput fnmatch fractions functools getpass gettext glob gzip "
    "hashlib heapq html http.client imaplib inspect io ipaddress json linecache locale "
    "logging mailbox math mimetypes operator os os.path pathlib pickle platform pprint queue "
    "random re sched secrets shelve shlex shutil signal smtplib socket sqlite3 stat "
    "statistics string struct subprocess tarfile tempfile textwrap threading time token "
    "tokenize traceback types unicodedata urllib.parse urllib.request uuid warnings wave "
    "weakref webbrowser xml.sax.saxutils zipfile zlib"
).split()
_LONGEST = 420  # characters of a passage
_VERB = re.compile(
    r"(Return|Create|Convert|Remove|Open|Compute|Write|Read|Get|Set|Add|Split|Find)\b"
)
_UNSAID = {  # of a function, unless its documentation has one of the words
    "Who wrote {}?": "writ author",
    "Who maintains {}?": "maintain author",
    "In which version was {} added?": "version added python",
    "Which licence is {} under?": "licen copyright",
    "How fast is {}?": "fast slow time efficien o(",
    "How much memory does {} need?": "memory bytes space",
    "What is {} going to be replaced by?": "replac deprecat instead obsolet legacy",
    "On which systems does {} not work?": "system platform windows unix posix linux macos",
    "Which port does {} use?": "port",
    "How many people use {}?": "people user",
    "What does {} cost?": "cost o(",
    "May several threads call {} at once?": "thread lock",
    "Which file does {} log to?": "log",
    "What is the default timeout of {}?": "timeout seconds",
    "Which environment variable changes {}?": "environ variable",
    "How many arguments does {} take at most?": "arg parameter",
    "Which errors does {} raise?": "rais error exception",
}
_HELD_OUT = 12  # every so many-th, by hash
SENTENCE_END = re.compile(r"(?<!e\.g)(?<!i\.e)\.(?:\s|$)")

_CASE = re.compile(r"If (?!possible)([^,:]{8,60}), ")
_ASKED = {  # of a function, and by what a sentence that answers it is known
    "What does {} return?": r"^(?:It )?[Rr]eturns? |^The return(?:ed)? value ",
    "Which errors does {} raise?": r"\b\w+Error\b.* raised|\b[Rr]aises? (?:an? )?\w+Error\b",
    "What is the default of {}?": r"\b[Dd]efaults? (?:is|to|value is)\b|^By default",
    "What must I keep in mind with {}?": r"^(?:Note that|Be careful|Beware)\b",
    "What should I use instead of {}?": r"\b[Uu]se [\w.]+ instead\b|\binstead of this\b",
    "On which systems does {} work?": r"\b(?:[Aa]vailab\w+|[Oo]nly|supported) (?:on|under) \w+",
}


@dataclass(frozen=True)
class Documented:
    """A function, and what is written of it.

    Attributes:
        name: with its module.
        summary: the first sentence, without the full stop.
        passage: as much as fits.
        asked: the question that it is the answer to, or "".
        details: questions, and the sentences of the passage that answer them.
    """

    name: str
    summary: str
    passage: str
    asked: str
    details: tuple[tuple[str, str], ...]

    @property
    def held_out(self) -> bool:
        """Whether it is never trained on."""
        return is_held_out(self.name)


def is_held_out(name: str) -> bool:
    """Whether what documentation says of something so called is never trained on."""
    return zlib.crc32(name.encode()) % _HELD_OUT == 0


@functools.cache
def documented() -> tuple[Documented, ...]:
    """Of every public function and class of the modules above that has a short summary, as this
    version of Python documents it."""
    found = (_of(f"{name}.{member}", thing) for name in _MODULES for member, thing in public(name))
    by_summary = {one.summary: one for one in found if one is not None}  # each is said of one alone
    return tuple(by_summary.values())


def public(name: str) -> list[tuple[str, Any]]:
    """A module's functions and classes, by name."""
    module: ModuleType = importlib.import_module(name)
    return [
        (member, thing)
        for member, thing in sorted(vars(module).items())
        if not member.startswith("_") and callable(thing)
    ]


def _of(name: str, thing: Any) -> Documented | None:
    text = " ".join((inspect.getdoc(thing) or "").split())
    summary = re.split(r"\.(?:\s|$)", text)[0]
    if not 20 < len(summary) < 140 or "(" in summary.split(" ")[0]:
        return None
    cut = text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0]
    passage = f"{name}: {cut}"
    verb = _VERB.match(summary)
    asked = f"Which function {verb[1].lower()}s{summary[verb.end() :]}?" if verb else ""
    return Documented(name, summary, passage, asked, tuple(_details(name, cut)))


def _details(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Of the sentences after the first, those that answer what people ask of any function."""
    *whole, _ = SENTENCE_END.split(text)  # the last may be cut
    usable = [s for s in whole[1:] if 20 < len(s) < 160 and s.count("(") == s.count(")")]
    for sentence in usable:
        if case := _CASE.match(sentence):
            yield f"What happens with {name} if {case[1]}?", sentence
    for form, pattern in _ASKED.items():
        found = [s for s in whole if re.search(pattern, s)]
        if len(found) == 1 and found[0] in usable and not _CASE.match(found[0]):
            yield form.format(name), found[0]


class DocumentedMaker:
    """Makes conversations about such texts; the same chance makes the same ones."""

    def __init__(self, chance: random.Random, held_out: bool) -> None:
        self._chance = chance
        self._documented = [d for d in documented() if d.held_out == held_out]

    def docs(self) -> list[Row]:
        """What real documentation says that a function does."""
        r = self._chance
        some = r.sample(self._documented, min(r.choice((2, 3, 4)), len(self._documented)))
        away = r.choice([d for d in self._documented if d not in some])
        sheet = Sheet(r, [], [d.passage for d in some])
        rows = [self._explained(sheet, n, d) for n, d in enumerate(some, 1)]
        rows += [
            sheet.row("docs", asked, cited(sentence, n), sentence)
            for n, one in enumerate(some, 1)
            for asked, sentence in one.details
        ]
        return [*rows, sheet.row("docs: open", self._what_does(away)), *self._unsaid(sheet, some)]

    def _unsaid(self, sheet: Sheet, some: list[Documented]) -> list[Row]:
        """What people ask of a function too, and these texts leave open."""
        written = " ".join(one.passage for one in some).lower()
        asked = [
            form
            for form, words in _UNSAID.items()
            if not any(word in written for word in words.split())
        ]
        # Half of all that is asked of documents: with fewer, five of twenty open ones were answered
        forms = self._chance.sample(asked, min(len(some) + 1, len(asked)))
        return [sheet.row("docs: open", f.format(self._chance.choice(some).name)) for f in forms]

    def _explained(self, sheet: Sheet, n: int, one: Documented) -> Row:
        if one.asked and self._chance.random() < 0.4:
            return sheet.row("docs", one.asked, cited(one.name, n), one.name)
        answer = cited(upper(one.summary), n)
        return sheet.row("docs", self._what_does(one), answer, one.summary)

    def _what_does(self, one: Documented) -> str:
        forms = ("What does {} do?", "What is {} for?", "What is said about {}?", "Explain {}.")
        return self._chance.choice(forms).format(one.name)
