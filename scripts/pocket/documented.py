"""What Python's own documentation says of its functions: texts of the world (PSF licence)."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import zlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

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
_HELD_OUT = 12  # every so many-th, by hash


@dataclass(frozen=True)
class Documented:
    """A function, and what is written of it.

    Attributes:
        name: with its module.
        summary: the first sentence, without the full stop.
        passage: as much as fits.
        asked: the question that it is the answer to, or "".
    """

    name: str
    summary: str
    passage: str
    asked: str

    @property
    def held_out(self) -> bool:
        """Whether it is never trained on."""
        return zlib.crc32(self.name.encode()) % _HELD_OUT == 0


@functools.cache
def documented() -> tuple[Documented, ...]:
    """Of every public function and class of the modules above that has a short summary, as this
    version of Python documents it."""
    found = (_of(f"{name}.{member}", thing) for name in _MODULES for member, thing in _public(name))
    by_summary = {one.summary: one for one in found if one is not None}  # each is said of one alone
    return tuple(by_summary.values())


def _public(name: str) -> list[tuple[str, Any]]:
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
    return Documented(name, summary, passage, asked)
