"""Questions about pictures: what they show, which of them, and what texts say of it."""

from __future__ import annotations

import random
import re

from ragvis.errors import UsageError
from scripts.pocket.rows import Row, Sheet, Shown, bare, cited, upper
from scripts.pocket.texts import Domain, Writer

Picture = tuple[str, str]  # file, caption

_FLAG = "flag of "
_COUNTRY = (
    "the country whose flag is shown",
    "the country with this flag",
    "the country in the picture",
    "this country",
)
_ARTICLE = re.compile(r"\b[Tt]he (?:next )?(this )")
_WITH_A_FLAG = ("{} with this flag", "{} of this country", "{} whose flag this is")
_THING = ("thing in the picture", "object in the image", "one in the photo", "thing shown here")
_SORTS = {  # by caption
    "animal": "cat dog horse cow pig sheep goat lion tiger bear fox wolf monkey elephant camel "
    "deer rabbit mouse rat hamster frog turtle snake lizard crocodile whale dolphin fish shark",
    "bird": "owl duck eagle penguin parrot swan turkey rooster chicken dove flamingo peacock goose",
    "insect": "bee ant butterfly beetle ladybug cricket mosquito fly",
    "tool": "hammer saw axe wrench screwdriver pliers scissors drill shovel pick broom ruler",
    "fruit": "apple pear banana cherry lemon orange grapes melon pineapple strawberry mango kiwi",
    "vehicle": "car bus truck train bicycle motorcycle tractor taxi ambulance ship boat aeroplane",
    "instrument": "guitar violin trumpet piano drum saxophone accordion banjo harp flute",
    "building": "house church castle hospital school hotel factory stadium mosque temple bank",
    "plant": "tree flower rose tulip cactus sunflower palm leaf herb",
}
_SORT_OF = {word: sort for sort, words in _SORTS.items() for word in words.split()}
_NOTED = 0.2  # share of the pages whose pictures are there as notes
_MOST = 3  # things that are told apart
_TRIES = 100  # before it is taken that there are not so many


class PictureMaker:
    """Makes conversations about pictures; the same chance makes the same ones.

    Raises:
        UsageError: too few pictures to tell apart.
    """

    def __init__(self, pictures: list[Picture], chance: random.Random, writer: Writer) -> None:
        self._pictures = pictures
        self._by_name: dict[str, list[str]] = {}
        for file, name in pictures:
            self._by_name.setdefault(name, []).append(file)
        self._chance = chance
        self._writer = writer
        self._flags = [name for name in self._by_name if name.startswith(_FLAG)]
        self._some(_MOST)  # said now, and not in the middle

    def caption(self) -> Row:
        """Stage 1: what a picture shows."""
        file, name = self._chance.choice(self._pictures)
        asked = self._chance.choice(("Describe the image briefly.", "What is this?"))
        return bare("caption", file, asked, f"The image shows {article(name)}.", name)

    def described(self) -> list[Row]:
        """The same in stage 2, so that pictures without sources are not forgotten."""
        return [self.caption()]

    def name(self) -> list[Row]:
        """What one numbered picture shows, among texts."""
        file, name = self._chance.choice(self._pictures)
        asked = self._chance.choice(("What does the picture show?", "What is in the image?"))
        sheet = Sheet(self._chance, [(file, "")], self._texts(self._chance.choice((0, 1, 2))))
        return [sheet.row("name", asked, cited(f"The image shows {article(name)}", 1), name)]

    def which(self) -> list[Row]:
        """Which of several pictures shows a thing; one that none of them shows too."""
        *shown, away = self._some(self._chance.choice((2, 3)) + 1)
        sheet = Sheet(self._chance, self._labelled(shown), [])
        rows = [
            sheet.row("which", _which(name), f"[{n}] shows {article(name)}.", f"[{n}]")
            for n, (_, name) in enumerate(shown, 1)
        ]
        return [*rows, sheet.row("absent", _which(away[1]))]

    def absent(self) -> list[Row]:
        """A thing that the picture does not show: there is nothing to be said of it."""
        shown, (_, other) = self._some(2)
        forms = (
            "What colour is the {} in the picture?",
            "What is the {} doing?",
            "Where is the {}?",
        )
        sheet = Sheet(self._chance, self._labelled([shown]), [])
        return [sheet.row("absent", self._chance.choice(forms).format(other))]

    def is_there(self) -> list[Row]:
        """Whether a picture shows a thing."""
        shown, (_, other) = self._some(2)
        name = shown[1]
        sheet = Sheet(self._chance, self._labelled([shown]), [])
        form = self._chance.choice(("Is there {} in the picture?", "Does the image show {}?"))
        yes = cited(f"Yes, there is {article(name)} in the picture", 1)
        no = cited(f"No, there is no {other} in the picture", 1)
        return [
            sheet.row("is there", form.format(article(name)), yes, "yes"),
            sheet.row("is there", form.format(article(other)), no, "no"),
        ]

    def picture_and_text(self) -> list[Row]:
        """What a text says of the thing that a picture shows, and what none says."""
        r = self._chance
        left_out = r.choice((0, 1))
        if len(self._flags) < _MOST or r.random() > 0.35:
            shown = self._things(_MOST)[left_out:]
            names = [name for _, name in shown]
            return self._said_of(shown, names, self._writer.of_kind("thing"), _called(names[0]))
        shown = self._shown(r.sample(self._flags, _MOST))[left_out:]
        countries = [name.removeprefix(_FLAG) for _, name in shown]
        if r.random() < 0.5:
            return self._said_of(shown, countries, self._writer.of_kind("country"), _COUNTRY)
        domain = self._writer.of_kind("thing")
        word = r.choice(domain.words)
        names = [f"{word} of {country}" for country in countries]
        return self._said_of(shown, names, domain, tuple(one.format(word) for one in _WITH_A_FLAG))

    def _said_of(
        self, shown: list[Picture], names: list[str], domain: Domain, called: tuple[str, ...]
    ) -> list[Row]:
        """Of the first of them, which is shown; the others are only written about."""
        r = self._chance
        fact, *more = r.sample(domain.facts, 4)
        about = [self._writer.subject(domain, name, [fact]) for name in names]
        first = about[0]
        places = list(range(len(about)))
        r.shuffle(places)
        texts = [self._writer.passage([about[place]]) for place in places]
        sheet = Sheet(r, self._labelled(shown[:1], 0.6), texts)
        it = r.choice(called)
        rows = []
        for one in (fact, *more):
            asked = upper(_ARTICLE.sub(r"\1", r.choice(one.asked).format(e=it)))
            if one not in first.values:
                rows.append(sheet.row("unanswerable", asked))
                continue
            answer = cited(f"The image shows {article(shown[0][1])}", 1)
            answer += " " + cited(first.answer(one), places.index(0) + 2)
            rows.append(sheet.row("picture and text", asked, answer, first.values[one]))
        return rows

    def _labelled(self, shown: list[Picture], share: float = 0.3) -> list[Shown]:
        """Some have a label that says what they show, as those with a caption have; some are there
        by what was noted of them alone (``ask --images each``)."""
        known, noted = self._chance.random() < share, self._chance.random() < _NOTED
        labels = [[name] if known else [] for _, name in shown]
        if not noted:
            return [(file, "".join(label)) for (file, _), label in zip(shown, labels, strict=True)]
        notes = [f"The image shows {article(name)}." for _, name in shown]
        return [("", ". ".join([*one, note])) for one, note in zip(labels, notes, strict=True)]

    def _texts(self, n: int) -> list[str]:
        return [self._writer.passage([self._writer.subject()]) for _ in range(n)]

    def _shown(self, names: list[str]) -> list[Picture]:
        return [(self._chance.choice(self._by_name[name]), name) for name in names]

    def _things(self, n: int) -> list[Picture]:
        return self._some(n, [name for name in self._by_name if not name.startswith(_FLAG)])

    def _some(self, n: int, names: list[str] | None = None) -> list[Picture]:
        """Pictures of so many things whose names have no word in common."""
        names = names or list(self._by_name)
        for _ in range(_TRIES):
            taken = self._apart(self._chance.sample(names, len(names)), n)
            if len(taken) == n:
                return self._shown(taken)
        raise UsageError(f"there are no pictures of {n} things that have no word in common")

    def _apart(self, names: list[str], n: int) -> list[str]:
        taken: list[str] = []
        for name in names:  # "no cat" would be untrue of a black cat
            if len(taken) < n and not any(set(name.split()) & set(t.split()) for t in taken):
                taken.append(name)
        return taken


def article(name: str) -> str:
    """ "a cat", "an apple", "the flag of Peru"."""
    if name.startswith(_FLAG):
        return f"the {name}"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _called(name: str) -> tuple[str, ...]:
    """What a question may call what is shown, where it does not name it."""
    sort = _SORT_OF.get(name, "thing")  # of the whole name: a hot dog is no animal
    return (*_THING, f"this {sort}", f"this {sort}", f"{sort} in the picture")


def _which(name: str) -> str:
    return f"Which source shows {article(name)}?"
