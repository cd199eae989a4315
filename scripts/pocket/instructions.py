"""Conversations to learn from, made of captioned pictures and of facts that nobody knows.

What they teach is pocket's whole task: to read the one value that was asked for out of numbered
sources, to cite it, to tell pictures apart, and to say so where the answer is not there. Nothing
in them is a fact of the world, so that nothing can be known by heart.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ragvis.conversation import IMAGE_TOKEN
from ragvis.errors import UsageError
from ragvis.prompts import GROUNDED_SYSTEM, NOT_FOUND, POCKET_CHAT_SYSTEM, labelled
from scripts.pocket import pictures

Picture = tuple[str, str]  # file, caption
Row = dict[str, Any]

_MOST = 3  # things that are told apart
_TRIES = 100  # before it is taken that there are not so many
_FIRST = "Ada Boris Clara Dmitri Elif Farid Greta Hugo Ines Jonas Kaja Lena Milo Nadia".split()
_LAST = "Abel Brandt Costa Dvorak Eriksen Ferro Gruber Haas Ivanov Jansen Keller Lund".split()
_SYLLABLES = "va ri tol men ka shi bor nu lex dra pim sol tek wen zu fal".split()
_ROOMS = "cellar attic workshop library kitchen stable tower greenhouse archive hall".split()
_COLOURS = "red blue green yellow black white purple orange grey brown".split()
_MONTHS = "January March April May June July August October November December".split()

# Attribute: (how a source says it, how it is asked for, how it is answered). Every attribute is
# worded several ways, as documents do: a model that learned one verb fails at the next.
_FACTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "price": (
        ("The {e} costs {v}.", "{v} is the price of the {e}.", "You pay {v} for the {e}."),
        (
            "How much does the {e} cost?",
            "What is the price of the {e}?",
            "What do I pay for a {e}?",
        ),
        "The {e} costs {v}",
    ),
    "weight": (
        ("It weighs {v}.", "The {e} has a weight of {v}.", "Weight: {v}."),
        ("How heavy is the {e}?", "What does the {e} weigh?", "What is the weight of the {e}?"),
        "The {e} weighs {v}",
    ),
    "keeper": (
        ("{v} keeps it.", "The {e} is looked after by {v}.", "{v} is in charge of the {e}."),
        ("Who keeps the {e}?", "Who looks after the {e}?", "Who is in charge of the {e}?"),
        "{v} looks after the {e}",
    ),
    "place": (
        ("It stands in the {v}.", "The {e} is kept in the {v}.", "Look for it in the {v}."),
        ("Where is the {e}?", "Where do I find the {e}?", "In which room is the {e} kept?"),
        "The {e} is in the {v}",
    ),
    "date": (
        ("It came on {v}.", "The {e} was delivered on {v}.", "Bought: {v}."),
        ("When did the {e} come?", "When was the {e} bought?", "Since when is the {e} here?"),
        "The {e} came on {v}",
    ),
    "colour": (
        ("It is painted {v}.", "The {e} is {v}.", "Its colour is {v}."),
        ("What colour is the {e}?", "Which colour does the {e} have?"),
        "The {e} is {v}",
    ),
}


class Maker:
    """Makes conversations; the same seed makes the same ones.

    Raises:
        UsageError: too few pictures to tell apart.
    """

    def __init__(self, pictures: list[Picture], seed: int) -> None:
        self._pictures = pictures
        self._by_name: dict[str, list[str]] = {}
        for file, name in pictures:
            self._by_name.setdefault(name, []).append(file)
        self._chance = random.Random(seed)
        self._some(_MOST)  # said now, and not in the middle

    def caption(self) -> Row:
        """Stage 1: what a picture shows."""
        file, name = self._chance.choice(self._pictures)
        asked = self._chance.choice(("Describe the image briefly.", "What is this?"))
        return _plain("caption", file, asked, f"The image shows {article(name)}.", name)

    def name(self) -> Row:
        """What one numbered picture shows, among texts."""
        file, name = self._chance.choice(self._pictures)
        asked = self._chance.choice(("What does the picture show?", "What is in the image?"))
        return self._grounded("name", [(file, "")], self._cards(2), asked, (name, [1]))

    def which(self) -> Row:
        """Which of several pictures shows a thing."""
        shown = self._some(self._chance.choice((2, 3)))
        n = self._chance.randrange(len(shown)) + 1
        asked = f"Which source shows {article(shown[n - 1][1])}?"
        files = [(file, "") for file, _ in shown]
        answer = f"[{n}] shows {article(shown[n - 1][1])}."
        return self._grounded("which", files, [], asked, None, answer, f"[{n}]")

    def absent(self) -> Row:
        """A thing that the picture does not show: there is nothing to be said of it."""
        (file, _), (_, other) = self._some(2)
        forms = (
            "What colour is the {} in the picture?",
            "What is the {} doing?",
            "Where is the {}?",
        )
        return self._grounded("absent", [(file, "")], [], self._chance.choice(forms).format(other))

    def is_there(self) -> Row:
        """Whether a picture shows a thing."""
        (file, name), (_, other) = self._some(2)
        yes = self._chance.random() < 0.5
        asked = f"Is there {article(name if yes else other)} in the picture?"
        no = f"No, there is no {other} in the picture [1]."
        answer = f"Yes, there is {article(name)} in the picture [1]." if yes else no
        gold = "yes" if yes else "no"
        return self._grounded("is there", [(file, "")], [], asked, None, answer, gold)

    def text(self) -> Row:
        """One value out of a source that gives several, among other sources."""
        cards = self._cards(self._chance.choice((1, 2, 3, 4)))
        n = self._chance.randrange(len(cards))
        thing, facts, _ = cards[n]
        what = self._chance.choice(list(facts))
        said = _FACTS[what][2].format(e=thing, v=facts[what])
        return self._grounded(
            "text", [], cards, self._ask(what, thing), (said, [n + 1]), gold=facts[what]
        )

    def unanswerable(self) -> Row:
        """A near miss: the thing is there and the value is not, or the other way about."""
        cards = self._cards(self._chance.choice((1, 2, 3)))
        thing, facts, _ = self._chance.choice(cards)
        missing = [what for what in _FACTS if what not in facts]
        if self._chance.random() < 0.5:
            return self._grounded(
                "unanswerable", [], cards, self._ask(self._chance.choice(missing), thing)
            )
        what = self._chance.choice(list(facts))
        return self._grounded("unanswerable", [], cards, self._ask(what, self._thing()))

    def picture_and_text(self) -> Row:
        """What a text says of the thing that a picture shows."""
        shown = self._some(self._chance.choice((2, 3)))
        file, name = shown[0]
        what = self._chance.choice(list(_FACTS))
        cards = [self._card(one, [what]) for _, one in shown]
        self._chance.shuffle(cards)
        n, value = next((i, c[1][what]) for i, c in enumerate(cards) if c[0] == name)
        answer = f"The image shows {article(name)} [1]. {_FACTS[what][2].format(e=name, v=value)} [{n + 2}]."
        asked = self._ask(what, "thing in the picture")
        return self._grounded("picture and text", [(file, "")], cards, asked, None, answer, value)

    def _grounded(
        self,
        kind: str,
        pictures: list[Picture],
        cards: list[Card],
        asked: str,
        said: tuple[str, list[int]] | None = None,
        answer: str = "",
        gold: str = "",
    ) -> Row:
        """A turn in the layout of numbered sources; a refusal where nothing is said."""
        names = [f"img_{self._chance.randrange(1000):03}.png" for _ in pictures]
        lines = [
            f"{IMAGE_TOKEN}\n[{n}] {labelled('image', name)}" for n, name in enumerate(names, 1)
        ]
        for n, (_, _, text) in enumerate(cards, len(pictures) + 1):
            lines.append(f"[{n}] {labelled('text', self._file())}: {text}")
        if said is not None:
            what, cites = said
            told = what if cards and not pictures else f"The image shows {article(what)}"
            answer = f"{told} {''.join(f'[{c}]' for c in cites)}."
            gold = gold or what
        turns = [("human", "\n".join(lines) + f"\n\nQuestion: {asked}")]
        turns.append(("gpt", answer or NOT_FOUND))
        files = [file for file, _ in pictures]
        return _row(kind, files, turns, GROUNDED_SYSTEM, gold or NOT_FOUND)

    def _cards(self, n: int) -> list[Card]:
        return [self._card(self._thing(), None) for _ in range(n)]

    def _card(self, thing: str, only: list[str] | None) -> Card:
        chosen = only or self._chance.sample(list(_FACTS), self._chance.choice((2, 3, 4)))
        facts = {what: self._value(what) for what in chosen}
        said = [self._chance.choice(_FACTS[w][0]).format(e=thing, v=v) for w, v in facts.items()]
        text = " ".join(said)
        named = thing in text
        return thing, facts, text if named else f"{thing.capitalize()}: {text}"

    def _ask(self, what: str, thing: str) -> str:
        return self._chance.choice(_FACTS[what][1]).format(e=thing)

    def _value(self, what: str) -> str:
        r = self._chance
        made: dict[str, Callable[[], str]] = {
            "price": lambda: f"{r.randint(2, 900)} {r.choice(('euros', 'dollars', 'crowns'))}",
            "weight": lambda: f"{r.randint(1, 99)}.{r.randint(1, 9)} kg",
            "keeper": lambda: f"{r.choice(_FIRST)} {r.choice(_LAST)}",
            "place": lambda: r.choice(_ROOMS),
            "date": lambda: f"{r.randint(1, 28)} {r.choice(_MONTHS)} {r.randint(1990, 2030)}",
            "colour": lambda: r.choice(_COLOURS),
        }
        return made[what]()

    def _thing(self) -> str:
        r = self._chance
        made = "".join(r.choice(_SYLLABLES) for _ in range(r.choice((2, 3))))
        kind = r.choice(("lamp", "pump", "engine", "kettle", "drill", "boat", "clock"))
        return f"{made.capitalize()} {kind}"

    def _file(self) -> str:
        ending = self._chance.choice(("md", "txt", "pdf", "html"))
        return f"{self._chance.choice(_SYLLABLES)}-{self._chance.randrange(100)}.{ending}"

    def _some(self, n: int) -> list[Picture]:
        """Pictures of so many things whose names have no word in common."""
        for _ in range(_TRIES):
            taken = self._apart(self._chance.sample(list(self._by_name), len(self._by_name)), n)
            if len(taken) == n:
                return [(self._chance.choice(self._by_name[name]), name) for name in taken]
        raise UsageError(f"there are no pictures of {n} things that have no word in common")

    def _apart(self, names: list[str], n: int) -> list[str]:
        taken: list[str] = []
        for name in names:  # "no cat" would be untrue of a black cat
            if len(taken) < n and not any(set(name.split()) & set(t.split()) for t in taken):
                taken.append(name)
        return taken


Card = tuple[str, dict[str, str], str]  # a thing, its facts by attribute, the passage
# How often each kind is made: what pocket is weak at stands for more.
MIX = {
    "name": 12, "which": 16, "absent": 10, "is_there": 10, "text": 22, "unanswerable": 14,
    "picture_and_text": 16,
}  # fmt: skip


def article(name: str) -> str:
    """ "a cat", "an apple", "the flag of Peru"."""
    if name.startswith("flag of"):
        return f"the {name}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def make(listed: Path, split: str, captions: int, turns: int, out: Path, seed: int) -> None:
    """Write ``captions.json`` (stage 1) and ``conversations.json`` (stage 2)."""
    shown = [(row.image, row.caption) for row in pictures.read(listed) if row.split == split]
    maker = Maker(shown, seed)
    chance = random.Random(seed)
    kinds = chance.choices(list(MIX), list(MIX.values()), k=turns)
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "captions.json", [maker.caption() for _ in range(captions)])
    _write(out / "conversations.json", [getattr(maker, kind)() for kind in kinds])


def _write(file: Path, rows: list[Row]) -> None:
    numbered = [{"id": f"{file.stem}-{n}", **row} for n, row in enumerate(rows)]
    file.write_text(json.dumps(numbered, ensure_ascii=False, indent=0), "utf-8")


def _plain(kind: str, file: str, asked: str, answer: str, gold: str) -> Row:
    turns = [("human", f"{IMAGE_TOKEN}\n{asked}"), ("gpt", answer)]
    return _row(kind, [file], turns, POCKET_CHAT_SYSTEM, gold)


def _row(kind: str, files: list[str], turns: list[tuple[str, str]], system: str, gold: str) -> Row:
    row: Row = {"kind": kind, "gold": gold, "system": system}
    row |= {"image": files} if files else {}
    return row | {"conversations": [{"from": who, "value": text} for who, text in turns]}
