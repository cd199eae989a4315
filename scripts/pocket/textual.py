"""Questions about texts: what they say, and what they leave open."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from ragvis.prompts import DOES_IT_SAY
from scripts.pocket.checks import answered, checked
from scripts.pocket.rows import Row, Sheet, cited, upper
from scripts.pocket.texts import Fact, Subject, Writer

_WORD = re.compile(r"\w+")
_NUMBERS = {"four": "4", "six": "6", "ten": "10", "twelve": "12"}  # as values.txt writes them
_LONGEST = 1700  # characters of all passages together: about 450 tokens
_RELATED = {  # what has to do with a subject, and is not it
    "thing": ("lid", "box", "cover", "smaller version", "spare part"),
    "person": ("brother", "sister", "neighbour", "teacher", "predecessor"),
    "named": ("predecessor", "successor", "rival"),
    "country": ("neighbour", "largest island", "former colony"),
}
_NO_PRONOUN = re.compile(r"\b(?:next|there) \{e\}")
_BEFORE_A_SUBJECT = "is was are were does did has had can may must will".split()
_OBJECTS = {"it": "it", "she": "her", "he": "him"}


@dataclass(frozen=True)
class Page:
    """Sources, and what each is about."""

    sheet: Sheet
    about: list[list[Subject]]  # by source

    def said(self) -> list[tuple[int, Subject, Fact]]:
        """Everything that it says, by the source's number."""
        return [
            (n, one, fact)
            for n, some in enumerate(self.about, 1)
            for one in some
            for fact in one.values
        ]


class TextMaker:
    """Makes conversations about texts; the same chance makes the same ones."""

    def __init__(self, chance: random.Random, held_out: bool) -> None:
        self.writer = Writer(chance, held_out)
        self._chance = chance

    def text(self) -> list[Row]:
        """Values out of sources that give several, and questions that they nearly answer."""
        page = self._page()
        said = page.said()
        many = min(self._chance.randint(3, 6), len(said))
        rows = [self._known(page, *one) for one in self._chance.sample(said, many)]
        # With half as many a round of training made pocket refuse less than it had before
        rows += [self._open(page) for _ in range(self._chance.choice((1, 2, 2, 3)))]
        return [*rows, *self._untrue(page)]

    def _untrue(self, page: Page) -> list[Row]:
        """Whether a source says of one what it says of another, or for one fact the value of
        another one: it does not."""
        r = self._chance
        mixed = _mixed(page)
        some = r.sample(mixed, min(len(mixed), r.choice((0, 1, 1, 2))))
        rows = []
        for one, fact, value in some:
            asked = self._asked(one, fact)
            whole = fact.answer.format(e=one.name, v=value)
            rows.append(self._check(page, asked, whole, value, is_said=False))
            _, known, said = r.choice(page.said())
            value = known.values[said]
            asked, whole = self._asked(known, said), known.answer(said)
            rows.append(self._check(page, asked, whole, value, is_said=True))
        return rows

    def _check(self, page: Page, asked: str, whole: str, value: str, is_said: bool) -> Row:
        way = self._chance.random()
        claim = answered(asked, f"{upper(whole if way < 0.7 else value)}.")
        if way < 0.3:
            claim = DOES_IT_SAY.format(f"{upper(whole)}.")
        return checked(page.sheet.row("checked", asked), claim, is_said)

    def two_facts(self) -> list[Row]:
        """Two values of one thing, asked for at once."""
        r = self._chance
        page = self._page()
        rows = []
        for n, some in enumerate(page.about, 1):
            for one in some:
                first, second = r.sample(list(one.values), 2)
                labels = (r.choice(f.labels).lower() for f in (first, second))
                asked = self._and_then(one.ask(r.choice(first.asked)), one, second)
                if r.random() < 0.3 or _names_another(one, first):
                    asked = "{}: {} and {}".format(upper(one.name), *labels)
                answer = " ".join(cited(one.answer(f), n) for f in (first, second))
                rows.append(page.sheet.row("two facts", asked, answer, one.values[second]))
        return rows

    def two_sources(self) -> list[Row]:
        """The same of two things, from a source each."""
        r = self._chance
        domain = r.choice(self.writer.domains)
        fact = r.choice(domain.facts)
        pair = [self.writer.subject(domain, must=[fact]) for _ in range(2)]
        others = [self.writer.subject(domain) for _ in range(r.choice((0, 1, 2)))]
        page = self._paged([[one] for one in _apart([*pair, *others])])
        places = [n for n, some in enumerate(page.about, 1) for one in some if one in pair]
        if len(places) < 2:  # one had no room, or the name of another
            return self.two_sources()
        first, second = (page.about[n - 1][0] for n in places)
        label = r.choice(fact.labels).lower()
        asked = r.choice(
            (
                "What is the {} of {} and of {}?",
                "{}: what is it for {} and for {}?",
                "Compare the {} of {} and {}.",
            )
        )
        parts = [
            cited(f"{upper(one.name)}: {one.values[fact]}", n)
            for n, one in zip(places, (first, second), strict=True)
        ]
        wanted = upper(asked.format(label, first.name, second.name))
        return [page.sheet.row("two sources", wanted, " ".join(parts), first.values[fact])]

    def two_steps(self) -> list[Row]:
        """What a source says of someone whom another one only names."""
        r = self._chance
        led = [
            (domain, fact)
            for domain in self.writer.domains
            for fact in domain.facts
            if fact.value == "person" and fact.answer.startswith("{v} ") and "{e}" in fact.answer
        ]
        people = self.writer.of_kind("person")
        domain, fact = r.choice(led)
        first = self.writer.subject(domain, must=[fact])
        second = self.writer.subject(people, name=first.values[fact])
        others = [
            self.writer.subject(people, must=r.sample(list(second.values), 1))
            for _ in range(r.choice((1, 2)))
        ]
        page = self._paged([[one] for one in _apart([first, second, *others])])
        places = {id(some[0]): n for n, some in enumerate(page.about, 1)}
        if id(first) not in places or id(second) not in places:
            return self.two_steps()
        who = fact.answer.format(v="the person who", e=first.name)
        known = cited(first.answer(fact), places[id(first)])
        rows = []
        for one in dict.fromkeys([*r.sample(list(second.values), 1), *r.sample(people.facts, 4)]):
            asked = upper(r.choice(one.asked).format(e=who))
            if one in second.values and first.domain.kind != "person" and r.random() < 0.3:
                asked = self._and_then(first.ask(r.choice(fact.asked)), second, one)
            if one in second.values:
                answer = f"{known} {cited(second.answer(one), places[id(second)])}"
                rows.append(page.sheet.row("two steps", asked, answer, second.values[one]))
            elif r.random() < 0.4:
                rows.append(page.sheet.row("unanswerable", asked))
        return rows

    def follow_up(self) -> list[Row]:
        """What leans on the question before it, which ragvis puts in front of it."""
        page = self._page()
        said = page.said()
        some = self._chance.sample(said, min(3, len(said)))
        return [self._followed(page, n, one, fact) for n, one, fact in some]

    def _followed(self, page: Page, n: int, one: Subject, fact: Fact) -> Row:
        r = self._chance
        wanted = r.choice(one.missing) if r.random() < 0.3 else fact
        clear = [f for f in one.domain.facts if f is not wanted and not _names_another(one, f)]
        asked = self._leaning(one, wanted)
        asked = f"{self._asked(one, r.choice(clear))} {r.choice((asked, f'And {_lower(asked)}'))}"
        if r.random() < 0.2:  # of the same fact, and of another subject
            other = self.writer.subject(one.domain)
            asked = f"{self._asked(other, wanted)} What about {_the(one)}?"
        if wanted is not fact:
            return page.sheet.row("unanswerable", asked)
        return page.sheet.row("follow-up", asked, cited(one.answer(fact), n), one.values[fact])

    def _leaning(self, one: Subject, fact: Fact) -> str:
        """A question in which a pronoun stands for what it is about: "How much is it?"."""
        forms = [form for form in fact.asked if not _NO_PRONOUN.search(form)]
        form = self._chance.choice(forms or fact.asked).replace("the {e}", "{e}")
        before, _, after = form.partition("{e}")
        if not forms:
            return one.ask(form)
        is_subject = before.rstrip().rpartition(" ")[2].lower() in _BEFORE_A_SUBJECT
        she = one.pronoun.lower()
        return before + (she if is_subject else _OBJECTS[she]) + after

    def _and_then(self, before: str, one: Subject, fact: Fact) -> str:
        """Two questions in one: "How heavy is the pump, and who looks after it?"."""
        between = self._chance.choice((", and ", " and "))
        return f"{before.rstrip('?')}{between}{_lower(self._leaning(one, fact))}"

    def _page(self) -> Page:
        """One to five sources, most of them of one domain and with facts in common."""
        r = self._chance
        main = r.choice(self.writer.domains)
        shared = r.sample(main.facts, 2)
        sources: list[list[Subject]] = []
        for _ in range(r.choice((1, 2, 2, 3, 3, 4, 5))):
            domain = main if r.random() < 0.7 else r.choice(self.writer.domains)
            must = r.sample(shared, r.choice((0, 1, 2))) if domain is main else []
            many = r.choice((1, 1, 1, 2, 3))
            sources.append([self.writer.subject(domain, must=must) for _ in range(many)])
        return self._paged(_unlike(sources))

    def _paged(self, sources: list[list[Subject]]) -> Page:
        self._chance.shuffle(sources)
        passages: list[str] = []
        about: list[list[Subject]] = []
        room = _LONGEST
        for some in sources:
            text = self.writer.passage(some)
            if passages and len(text) > room:
                continue
            room -= len(text)
            passages.append(text)
            about.append(some)
        return Page(Sheet(self._chance, [], passages), about)

    def _known(self, page: Page, n: int, one: Subject, fact: Fact) -> Row:
        value = one.values[fact]
        same = [s for _, s, f in page.said() if f is fact and _overlap(s.values[f], value)]
        asked = self._whose(one, fact, value) if same == [one] else ""
        if asked and self._chance.random() < 0.2:
            whole = one.answer(fact)
            answer = whole if upper(one.name) in whole else upper(one.name)
            return page.sheet.row("text", asked, cited(answer, n), one.name)
        return self._answered(page, n, one, fact)

    def _whose(self, one: Subject, fact: Fact, value: str) -> str:
        """Which of them it is that this is said of; "" if no statement makes a question."""
        parted = [said.partition("{e} ") for said in fact.said]
        ends = [rest for before, _, rest in parted if before in ("", "The ") and "{v}" in rest]
        if not ends or "{e}" in (end := self._chance.choice(ends)):
            return ""
        word = next((w for w in one.domain.words if one.name.lower().endswith(w)), "")
        who = {"person": "Who", "country": "Which country"}.get(one.domain.kind)
        return f"{who or (word and f'Which {word}') or 'What'} {end.format(v=value).rstrip('.')}?"

    def _answered(self, page: Page, n: int, one: Subject, fact: Fact) -> Row:
        value = one.values[fact]
        whole = self._chance.random() < 0.6
        answer = cited(one.answer(fact) if whole else upper(value), n)
        return page.sheet.row("text", self._asked(one, fact), answer, value)

    def _asked(self, one: Subject, fact: Fact) -> str:
        r = self._chance
        if r.random() < 0.08:
            label = r.choice(fact.labels)
            return r.choice((f"{one.name} {label.lower()}", f"{label} of {_the(one)}?"))
        return one.ask(r.choice(fact.asked))

    def _open(self, page: Page) -> Row:
        """A near miss: it is there and this is not said of it, or this is said of another one, or
        of what it has to do with, or another value is."""
        r = self._chance
        one = r.choice(r.choice(page.about))
        way = r.choices(("it", "another", "its own", "a value"), (5, 3, 2, 2))[0]
        asked = ""
        if way == "another":
            asked = self._of_another(page, one)
        elif way == "its own":
            asked = self._of_its_own(one)
        elif way == "a value":
            asked = self._of_a_value(page, one)
        return page.sheet.row("unanswerable", asked or self._of_it(one))

    def _of_it(self, one: Subject) -> str:
        return self._asked(one, self._chance.choice(one.missing))

    def _of_another(self, page: Page, one: Subject) -> str:
        other = self.writer.subject(one.domain)
        if other.name in {s.name for some in page.about for s in some}:
            return ""
        return self._asked(other, self._chance.choice(list(one.values)))

    def _of_its_own(self, one: Subject) -> str:
        its = f"{self._chance.choice(_RELATED[one.domain.kind])} of {_the(one)}"
        its = its if one.domain.kind == "thing" else f"the {its}"
        form = self._chance.choice(self._chance.choice(list(one.values)).asked)
        return upper(form.format(e=its))

    def _of_a_value(self, page: Page, one: Subject) -> str:
        fact = self._chance.choice(list(one.values))
        value = self.writer.values.make(fact.value)
        if any(_overlap(s.values[f], value) for _, s, f in page.said() if f is fact):
            return ""
        return self._whose(one, fact, value)


def _mixed(page: Page) -> list[tuple[Subject, Fact, str]]:
    """What is there of another subject or of another fact, and not of this one."""
    everyone = [one for some in page.about for one in some]
    of_others = [
        (one, fact, value)
        for one in everyone
        for other in everyone
        if other.domain is one.domain and other is not one
        for fact, value in other.values.items()
    ]
    of_its_own = [
        (one, fact, value)
        for one in everyone
        for fact in one.domain.facts
        for said, value in one.values.items()
        if said is not fact and said.value == fact.value
    ]
    return [
        (one, fact, value)
        for one, fact, value in (*of_others, *of_its_own)
        if fact not in one.values or not _overlap(one.values[fact], value)
    ]


def _overlap(one: str, other: str) -> bool:
    """Whether what is of one value may be of the other one too: "Finnish" and "Finnish and some
    Dutch", "Mondays" and "Monday", "four" and "4"."""
    first, second = ({_plain(w) for w in _WORD.findall(value.lower())} for value in (one, other))
    return "all" in first | second or first <= second or second <= first


def _plain(word: str) -> str:
    return _NUMBERS.get(word, word.removesuffix("s"))


def _names_another(one: Subject, fact: Fact) -> bool:
    """Whether a pronoun after a question for it could as well mean its answer."""
    return fact.value == ("person" if one.domain.kind == "person" else "named")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _the(one: Subject) -> str:
    return f"the {one.name}" if one.domain.kind == "thing" else one.name


def _apart(subjects: list[Subject]) -> list[Subject]:
    """Those whose names are their own."""
    return list({one.name: one for one in reversed(subjects)}.values())[::-1]


def _unlike(sources: list[list[Subject]]) -> list[list[Subject]]:
    """The same, but for whose name is taken already."""
    taken: set[str] = set()
    kept = []
    for some in sources:
        own = [one for one in _apart(some) if one.name not in taken]
        taken.update(one.name for one in own)
        kept += [own] if own else []
    return kept
