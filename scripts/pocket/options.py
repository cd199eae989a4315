"""Options of commands and parameters of functions, as their own help texts give them.

What manuals are made of, in the words of many authors: the help of commands that come with Python
or with the tools of this project (PSF, MIT, BSD, Apache-2.0), and the documentation of NumPy,
SciPy, scikit-learn and PyTorch (BSD). What is not installed is left out.
"""

from __future__ import annotations

import functools
import inspect
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec

from scripts.pocket.documented import SENTENCE_END, is_held_out, public
from scripts.pocket.rows import Row, Sheet, cited, upper

_COMMANDS = (
    "json.tool http.server venv timeit compileall unittest ast zipfile tarfile calendar trace "
    "dis pickletools tokenize inspect mypy pytest ruff;check ruff;format numpy.f2py uvicorn "
    "torch.distributed.run accelerate.commands.launch accelerate.commands.estimate pygments "
    "charset_normalizer openai pip;install pip;download pip;uninstall pip;list pip;show pip;freeze "
    "pip;config pip;wheel pip;hash pip;cache pip;index pip;check pip;debug "
    "ragvis;index ragvis;ask ragvis;search ragvis;chat ragvis;serve ragvis;eval ragvis;status"
).split()
_MODULES = (
    "numpy numpy.linalg numpy.random numpy.fft torch torch.nn.functional torch.linalg "
    "scipy.signal scipy.stats scipy.ndimage scipy.optimize scipy.linalg scipy.interpolate "
    "sklearn.metrics sklearn.datasets sklearn.model_selection sklearn.preprocessing"
).split()
_FLAGS = re.compile(r" {1,8}(-\S+(?: \S+)*?)(?: {2,}(\S.*))?$")
_NUMPY = re.compile(r"(\w+)(?:, \w+)* : \S")
_GOOGLE = re.compile(r" {2,4}(\w+) \((?:[^()]|\([^()]*\))+\): (\S.*)$")
_NAMES = re.compile(r"--?[A-Za-z][\w-]*")
# Not yes or no: those are looked for where an answer begins
_VALUE = r"['\"]?(?!(?:yes|no)\b)(-?\w+(?:[.-]\w+)*)['\"]?"
_DEFAULT = re.compile(rf"(?<![Bb]y )\b[Dd]efault(?:s to| is|: ?|=) ?{_VALUE}(?:[)\],;]|\.?$|\. )")
_IF_TRUE = re.compile(r"If True, ([^.]{12,120})\.(?:\s|$)")
_REFERENCE = re.compile(r"\[\d+\]")  # to literature: here it would be a citation
_SHORT, _LONG, _MOST = 300, 900, 2600  # characters of a passage, and of all together
_OTHERWISE = {  # verbs of such texts, and what people say for them
    "show": "print", "print": "show", "display": "show", "remove": "delete", "delete": "remove",
    "ignore": "skip", "skip": "ignore", "create": "make", "set": "choose", "specify": "give",
    "disable": "turn off", "enable": "turn on", "allow": "permit", "write": "save", "save": "write",
    "include": "add", "add": "include", "use": "take", "report": "show", "run": "start",
    "start": "run", "exit": "stop", "stop": "end", "suppress": "hide", "treat": "take",
    "generate": "make", "produce": "make", "output": "print", "read": "load", "load": "read",
    "install": "put in place", "warn": "give a warning", "list": "show", "do": "do",
    "only": "only", "force": "force", "keep": "keep", "change": "change", "check": "check",
    "follow": "follow", "find": "look for", "search": "look in", "select": "choose",
    "store": "keep", "avoid": "avoid", "make": "make", "perform": "do", "send": "send",
}  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One of a command, or a parameter of a function.

    Attributes:
        owner: the command or the function.
        names: as its text has them: "-x, --exitfirst".
        text: what is written of it.
    """

    owner: str
    names: str
    text: str

    @property
    def written(self) -> str:
        """As a help text on one line has it."""
        return f"{self.names} {self.text}"

    @property
    def first(self) -> str:
        """The first sentence, without its full stop."""
        return SENTENCE_END.split(self.text)[0].strip()

    @property
    def verb(self) -> str:
        """What it does, if the text begins with that."""
        word = self.first.split(" ")[0].lower()
        return word if word in _OTHERWISE else ""

    @property
    def each(self) -> frozenset[str]:
        """Its names one by one."""
        return frozenset(_NAMES.findall(self.names) if self.is_flag else [self.names])

    @property
    def is_flag(self) -> bool:
        """Whether it is one of a command."""
        return self.names.startswith("-")


@functools.cache
def options() -> tuple[tuple[Option, ...], ...]:
    """By owner: of all commands and functions above that are installed and have three or more."""
    commands = [one for one in _COMMANDS if find_spec(re.split("[.;]", one)[0])]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda one: tuple(_of_command(one)), commands))
    for name in _MODULES:
        if find_spec(name.split(".")[0]):
            found += [tuple(of_docstring(f"{name}.{m}", doc)) for m, doc in _functions(name)]
    return tuple(some for some in found if len(some) >= 3)


def _functions(module: str) -> list[tuple[str, str]]:
    found = [(name, thing) for name, thing in public(module) if not inspect.isclass(thing)]
    return [(name, inspect.getdoc(thing) or "") for name, thing in found]


def _of_command(named: str) -> Iterator[Option]:
    module, _, sub = named.partition(";")
    command = [sys.executable, "-m", module, *([sub] if sub else []), "--help"]
    # Plugins of pytest tell the time in their help, and are under licences of their own
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return of_help(f"{module} {sub}".strip(), done.stdout)


def of_help(owner: str, written: str) -> Iterator[Option]:
    """The options of a command's help text."""
    names, text = "", ""
    for line in written.splitlines():
        if flags := _FLAGS.match(line):
            yield from _usable(owner, names, text)
            names, text = flags[1], flags[2] or ""
        elif names and re.match(r" {10,}\S", line):
            text += " " + line.strip()
        elif line.strip():
            yield from _usable(owner, names, text)
            names = ""
    yield from _usable(owner, names, text)


def of_docstring(owner: str, written: str) -> Iterator[Option]:
    """The parameters of a function, in NumPy's form or Google's."""
    names, text, inside = "", "", False
    for line in written.splitlines():
        if line.startswith(("Parameters", "Args:", "Keyword args:")):
            inside = True
        elif inside and (field := _NUMPY.match(line) or _GOOGLE.match(line)):
            yield from _usable(owner, names, text)
            names, text = field[1], field[2] if field.re is _GOOGLE else ""
        elif inside and line.startswith((" ", "\t")) and names:
            text += " " + line.strip()
        elif line.strip() and not line.startswith("-"):
            inside = False
    yield from _usable(owner, names, text)


def _usable(owner: str, names: str, text: str) -> Iterator[Option]:
    """With the marks of markup taken out, if it has words of a fit length."""
    plain = " ".join(text.replace("`", "").replace(":attr:", "").partition(" .. ")[0].split())
    says = plain[:1].isalnum() and 15 < len(plain) < 400 and ":math:" not in plain
    says = says and not _REFERENCE.search(plain)
    if says and 0 < len(names) < 50:
        yield Option(owner, names, plain)


class OptionMaker:
    """Makes conversations about such texts; the same chance makes the same ones."""

    def __init__(self, chance: random.Random, held_out: bool) -> None:
        self._chance = chance
        # By the whole command: its parts have options in common
        self._owners = [
            some for some in options() if is_held_out(some[0].owner.split(" ")[0]) == held_out
        ]

    def options(self) -> list[Row]:
        """What manuals say, and what they leave open."""
        r = self._chance
        shown = self._shown()
        sheet = Sheet(r, [], [self._passage(some) for some in shown])
        said = [(n, one) for n, some in enumerate(shown, 1) for one in some]
        written = Counter(name for _, one in said for name in one.each)
        clear = [(n, one) for n, one in said if all(written[name] == 1 for name in one.each)]
        rows: list[Row] = []
        for n, one in r.sample(clear, min(len(clear), 6)):
            rows += self._asked(sheet, n, one)
        shown_words = " ".join(one.written for _, one in said).lower()
        away = [
            one
            for one in self._siblings(shown)
            if not any(part.lower() in shown_words for part in (one.first, *one.each))
        ]
        for one in r.sample(away, min(len(away), r.choice((1, 2, 3)))):
            rows.append(sheet.row("options: open", self._which(one) or self._what(one)))
        return rows

    def _shown(self) -> list[tuple[Option, ...]]:
        """Neighbours of one or more owners, as parts of their texts."""
        r = self._chance
        room = _MOST
        parts: list[tuple[Option, ...]] = []
        # Commands are few and have many options each, functions are many and have few
        weights = [min(len(some), 40) for some in self._owners]
        for owner in r.choices(self._owners, weights, k=r.choice((1, 2, 2, 3))):
            for _ in range(r.choice((1, 1, 2))):
                part = self._part(owner)
                length = sum(len(one.written) for one in part)
                if length <= room and not any(set(part) & set(p) for p in parts):
                    room -= length
                    parts.append(part)
        r.shuffle(parts)
        return parts

    def _part(self, owner: Sequence[Option]) -> tuple[Option, ...]:
        start, most = self._chance.randrange(len(owner)), self._chance.randint(_SHORT, _LONG)
        end, length = start, 0
        while end < len(owner) and (length := length + len(owner[end].written)) <= most:
            end += 1
        return tuple(owner[start : max(end, start + 1)])

    def _passage(self, some: Sequence[Option]) -> str:
        r, owner = self._chance, some[0].owner
        heads = ("{}: ", "{} OPTIONS ", "{} - options: ")
        if not some[0].is_flag:
            heads = ("{}: ", "{} Parameters: ", "{} - ")
        head = r.choice(heads).format(owner)
        return head + r.choice((" ", " ", " - ", "; ")).join(one.written for one in some)

    def _siblings(self, shown: Sequence[Sequence[Option]]) -> list[Option]:
        owners = {some[0].owner for some in shown}
        return [one for some in self._owners if some[0].owner in owners for one in some]

    def _asked(self, sheet: Sheet, n: int, one: Option) -> Iterator[Row]:
        """One or more questions about it."""
        r = self._chance
        if r.random() < 0.5 and len(one.first) < 160:
            yield sheet.row("options", self._what(one), cited(upper(one.first), n), one.first)
        if (asked := self._which(one)) and r.random() < 0.7:
            form = r.choice(("{}", "{}", "Use {}", "The option is {}"))
            yield sheet.row("options", asked, cited(form.format(one.names), n), one.names)
        name = self._name(one)
        if found := _DEFAULT.search(one.text):
            asked = r.choice(("What is the default of {}?", "What is {} by default?"))
            answer = r.choice(("The default of {} is {}", "{1}")).format(name, found[1])
            yield sheet.row("options", asked.format(name), cited(answer, n), found[1])
        if found := _IF_TRUE.search(one.text):
            asked = f"What happens if {name} of {one.owner} is True?"
            yield sheet.row("options", asked, cited(upper(found[1]), n), found[1])

    def _name(self, one: Option) -> str:
        return self._chance.choice(sorted(one.each) or [one.names])

    def _what(self, one: Option) -> str:
        sort = "option" if one.is_flag else "parameter"
        forms = [f"What does the {sort} {{n}} of {{o}} do?", "What is {n} of {o} for?"]
        forms += ["What does {n} do?", "Explain {n}.", f"What does the {sort} {{n}} mean?"]
        forms += ["What does {o} {n} do?"] if one.is_flag else []
        return self._chance.choice(forms).format(n=self._name(one), o=one.owner)

    def _which(self, one: Option) -> str:
        """The question that its name answers, or "" where the text does not begin with a verb."""
        verb = one.verb
        rest = one.first[len(verb) :]
        if not verb or not one.is_flag or not 8 < len(rest) < 110 or "(" in rest:
            return ""
        r = self._chance
        verb = _OTHERWISE[verb] if r.random() < 0.4 else verb
        forms = ["Which option of {o} {s}{r}?", "Which option {s}{r}?", "Which flag {s}{r}?"]
        forms += ["How do I {v}{r} with {o}?", "What do I give {o} to {v}{r}?"]
        forms += ["How do I make {o} {v}{r}?", "How can I {v}{r}?"]
        return r.choice(forms).format(o=one.owner, v=verb, s=_third(verb), r=rest)


def _third(verb: str) -> str:
    """ "shows", "does", "turns off"."""
    word, _, rest = verb.partition(" ")
    if word == "only":
        return verb
    ending = "es" if word.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return f"{word}{ending} {rest}".strip()
