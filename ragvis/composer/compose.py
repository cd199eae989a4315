"""The prompt of a retrieval-augmented turn, and where its tokens go."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from types import MappingProxyType

from ragvis.composer.citations import escape_citations, keep_valid
from ragvis.composer.inputs import Attachment, Past, PromptSpec, Room, Size, Turn
from ragvis.composer.neutral import neutral, without
from ragvis.conversation import IMAGE_TOKEN, find_template, render
from ragvis.errors import PromptTooLong
from ragvis.prompts import GROUNDED_SYSTEM, labelled
from ragvis.types import Dropped, Hit, Ledger, Placement, Source

_LINE_HEAD = re.compile(r"\[([0-9]{1,9})\] (?=(?:text|image):)")  # see ``labelled``
_NO_PAST, _USUAL_ROOM = Past(), Room()


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt, its sources by number (those of earlier turns first), and its ledger."""

    prompt: str
    turn: Turn  # this one; its answer is not there yet
    kept: tuple[Turn, ...]  # earlier turns that are in the prompt
    ledger: Ledger
    opening: str = ""  # of the answer; the prompt ends with it

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source that is in the prompt, and the photos that are named there instead."""
        return tuple(s for turn in (*self.kept, self.turn) for s in turn.sources)

    @property
    def pixel_sources(self) -> tuple[Source, ...]:
        """The sources whose pictures go in, in the order of their ``<image>`` tokens."""
        return tuple(s for s in self.sources if s.placed == "pixels")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A source before it has a number."""

    hit: Hit
    placed: Placement
    size: Size = (0, 0)
    fixed: bool = False  # came with the question: never dropped
    known_as: str = ""
    note: str = ""


def compose(
    question: str,
    hits: Sequence[Hit],
    attachments: Sequence[Attachment],
    sizes: Mapping[str, Size],
    spec: PromptSpec,
    room: Room = _USUAL_ROOM,
    unopened: Mapping[str, str] = MappingProxyType({}),
    past: Past = _NO_PAST,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Composed:
    """Place what fits, best first.

    What is too much leaves in this order: the oldest turns of the conversation, whole and with
    their sources, then this turn's sources, worst first. A source that an earlier turn placed is
    not placed again, and keeps its number when it is.

    Args:
        question: as the model is to be asked; it is always placed whole.
        hits: passages and pictures, best first.
        attachments: pictures that came with the question; placed first, never dropped. An
            ``unseen`` one is not in the prompt, and its number comes last.
        sizes: pixel size of each picture hit by id.
        spec: the model's template, limits and counts.
        room: how much to place.
        unopened: why a picture hit could not be opened, by id; it is left out.
        past: the conversation so far.
        notes: what the model said of a picture, by hit id; it goes in as that, not as pixels.

    Raises:
        PromptTooLong: question and attachments alone do not fit.
    """
    turns = [_again(turn, spec) for turn in past.turns] if spec.earlier_turns else []
    for gone in range(len(turns) + 1):
        kept, left = tuple(turns[gone:]), turns[:gone]
        held = {s.hit.id for turn in kept for s in turn.sources}
        new = [h for h in hits if h.id not in held]
        pieces, dropped = _select(new, attachments, sizes, spec, room, unopened, notes)
        dropped += [_left(n, turn, spec) for n, turn in enumerate(left, 1)]
        page = _Page(question, spec, room, kept, past.numbers)
        composed = page.write(pieces, dropped)
        fits = page.over(composed) <= 0
        if not kept or (fits and page.shown(pieces) <= _most_pixels(spec, attachments)):
            break
    while page.over(composed) > 0:
        worst = _worst(pieces)
        if worst is None:
            raise _too_long(composed, spec, room)
        pieces = [p for p in pieces if p is not worst]
        without = page.write(pieces, []).ledger.total
        tokens = composed.ledger.total - without
        dropped.append(Dropped(worst.hit.id, "no room in the context", tokens))
        composed = page.write(pieces, dropped)
    return composed


def beside(message: str, spec: PromptSpec, past: Past, answer: int) -> Composed | None:
    """A message after the conversation that is no question of its sources; None where it and an
    answer of so many tokens do not fit."""
    kept = tuple(_again(turn, spec) for turn in past.turns)
    page = _Page(message, spec, Room(answer), kept, past.numbers)
    composed = page.plain()
    return composed if page.over(composed) <= 0 else None


def from_outside(text: str, spec: PromptSpec) -> str:
    """Text for a prompt of numbered sources: one line that can neither open a turn, nor show a
    picture, nor look like a source's number."""
    return escape_citations(neutral(text, spec.markers))


def _again(turn: Turn, spec: PromptSpec) -> Turn:
    """An earlier turn for this model: it may have been written down for another one's template, or
    by a version that let a text's own bracketed numbers through."""
    parts = turn.body.split(IMAGE_TOKEN)  # text from outside holds none
    body = IMAGE_TOKEN.join(without(spec.markers, part) for part in parts)
    numbers = {source.n for source in turn.sources}
    return replace(turn, body="\n".join(_line_again(line, numbers) for line in body.split("\n")))


def _line_again(line: str, numbers: set[int]) -> str:
    """A line of an earlier turn; the number of its source is the composer's own."""
    head = _LINE_HEAD.match(line)
    start = head.end() if head and int(head[1]) in numbers else 0
    return line[:start] + escape_citations(line[start:])


def _left(n: int, turn: Turn, spec: PromptSpec) -> Dropped:
    tokens = spec.count(turn.body + turn.answer) + spec.picture_tokens(turn.sizes)
    return Dropped(f"turn {n}", "no room in the context", tokens)


def _too_long(composed: Composed, spec: PromptSpec, room: Room) -> PromptTooLong:
    return PromptTooLong(
        f"the question takes {composed.ledger.total} tokens; the model has room for "
        f"{spec.context_limit}, {room.answer} of them kept for the answer",
        "Ask in fewer words, or with fewer pictures.",
    )


def _most_pixels(spec: PromptSpec, attachments: Sequence[Attachment]) -> int:
    """A photo with the question makes room for one picture more, to compare it with."""
    shown = sum(not one.unseen for one in attachments)
    return max(shown, spec.pixels + bool(shown))


def _select(
    hits: Sequence[Hit],
    attachments: Sequence[Attachment],
    sizes: Mapping[str, Size],
    spec: PromptSpec,
    room: Room,
    unopened: Mapping[str, str],
    notes: Mapping[str, str],
) -> tuple[list[_Piece], list[Dropped]]:
    pieces = [_brought(one, notes) for one in attachments if not one.unseen]
    pixels_left = _most_pixels(spec, attachments) - len(pieces)
    dropped: list[Dropped] = []
    images = [h for h in hits if h.modality == "image"]
    for hit in images[: room.images]:
        if hit.id in unopened:
            dropped.append(Dropped(hit.id, unopened[hit.id], 0))
        elif hit.id in notes:
            pieces.append(_Piece(hit, "note", note=notes[hit.id]))
        elif pixels_left > 0:
            pieces.append(_Piece(hit, "pixels", sizes[hit.id]))
            pixels_left -= 1
        elif hit.text:
            pieces.append(_Piece(hit, "caption"))
        else:
            reason = "this model takes no further picture, and this one has no caption"
            dropped.append(Dropped(hit.id, reason, 0))
    passages = [h for h in hits if h.modality == "text"]
    pieces += [_Piece(h, "text") for h in passages[: room.passages]]
    unseen = [one for one in attachments if one.unseen]
    pieces += [_Piece(one.hit, "name", fixed=True, note=one.known_as) for one in unseen]
    return pieces, dropped


def _brought(one: Attachment, notes: Mapping[str, str]) -> _Piece:
    note = notes.get(one.hit.id)
    if note is None:
        return _Piece(one.hit, "pixels", one.size, True, one.known_as)
    return _Piece(one.hit, "note", fixed=True, known_as=one.known_as, note=note)


def _worst(pieces: Sequence[_Piece]) -> _Piece | None:
    """The lowest score; of equals the last placed."""
    loose = [p for p in reversed(pieces) if not p.fixed]
    return min(loose, key=lambda p: p.hit.score, default=None)


@dataclass(frozen=True, slots=True)
class _Page:
    """One prompt in the making: everything but what is placed."""

    question: str
    spec: PromptSpec
    room: Room
    kept: tuple[Turn, ...]
    numbers: Mapping[str, int]

    def over(self, composed: Composed) -> int:
        """Tokens too many."""
        return composed.ledger.total + self.room.answer - self.spec.context_limit

    def shown(self, pieces: Sequence[_Piece]) -> int:
        """Pictures in the prompt as pixels."""
        own = sum(p.placed == "pixels" for p in pieces)
        return own + sum(len(turn.sizes) for turn in self.kept)

    def write(self, pieces: Sequence[_Piece], dropped: Sequence[Dropped]) -> Composed:
        """The prompt with these pieces in it."""
        sources = self._numbered(pieces)
        parts = self._parts(pieces, sources)
        body = "".join(parts).lstrip("\n")
        sizes = tuple(p.size for p in pieces if p.placed == "pixels")
        turn = Turn(body, "", sources, sizes)
        prompt = _render(self.spec, self.kept, turn)
        ledger = _ledger(prompt, parts, turn, self, tuple(dropped))
        return Composed(prompt, turn, self.kept, ledger)

    def plain(self) -> Composed:
        """The prompt with the message as it stands: no sources, and no word about them."""
        parts = ("", "", "", from_outside(self.question, self.spec))
        turn = Turn(parts[-1], "", (), ())
        prompt = _render(self.spec, self.kept, turn)
        return Composed(prompt, turn, self.kept, _ledger(prompt, parts, turn, self, ()))

    def _numbered(self, pieces: Sequence[_Piece]) -> tuple[Source, ...]:
        fresh = count(1 + max(self.numbers.values(), default=0))
        return tuple(
            Source(self.numbers.get(p.hit.id) or next(fresh), p.hit, p.placed, note=p.note)
            for p in pieces
        )

    def _parts(
        self, pieces: Sequence[_Piece], sources: Sequence[Source]
    ) -> tuple[str, str, str, str]:
        """Pictures, passages, instruction and question; joined they are the user's message."""
        shown = [(s.n, p) for s, p in zip(sources, pieces, strict=True) if s.is_shown]
        lines = [_line(n, p, self.spec) for n, p in shown]
        split = sum(p.placed != "text" for _, p in shown)
        images, passages = "\n".join(lines[:split]), "\n".join(lines[split:])
        if images and passages:
            images += "\n"
        fixed = find_template(self.spec.template).fixed_system
        instruction = f"\n\n{GROUNDED_SYSTEM}" if fixed else ""
        question = from_outside(self.question, self.spec)
        return images, passages, instruction, f"\n\nQuestion: {question}"


def _render(spec: PromptSpec, kept: Sequence[Turn], turn: Turn) -> str:
    """The conversation up to this turn. Its answers cite what is in the prompt, and nothing that
    left it."""
    shown = {s.n for earlier in (*kept, turn) for s in earlier.sources if s.is_shown}
    turns: list[dict[str, str | None]] = []
    for earlier in kept:
        turns.append({"role": "user", "content": earlier.body})
        answer = keep_valid(neutral(earlier.answer, spec.markers, keep_lines=True), shown)
        turns.append({"role": "assistant", "content": answer})
    turns.append({"role": "user", "content": turn.body})
    turns.append({"role": "assistant", "content": None})
    fixed_system = find_template(spec.template).fixed_system
    return render(spec.template, turns, None if fixed_system else GROUNDED_SYSTEM)


def _line(n: int, piece: _Piece, spec: PromptSpec) -> str:
    hit = piece.hit
    if piece.placed == "text":
        label = labelled("text", hit.name, hit.page)
        return f"[{n}] " + from_outside(f"{label}: {_titled(hit)}", spec)
    label = labelled("image", hit.name, hit.page)
    told = [p for p in (piece.known_as or hit.text or hit.looks_like, piece.note) if p]
    known = ". ".join([*(part.rstrip(". ") for part in told[:-1]), *told[-1:]])
    line = f"[{n}] " + from_outside(f"{label} — {known}" if known else label, spec)
    return f"{IMAGE_TOKEN}\n{line}" if piece.placed == "pixels" else line


def _titled(hit: Hit) -> str:
    """The passage, opened by the titles that it does not name itself."""
    text = hit.text or ""
    words = " ".join(text.split()).lower()
    missing = [
        t for t in (hit.title, hit.section) if t and " ".join(t.split()).lower() not in words
    ]
    return ": ".join([*dict.fromkeys(missing), text])


def _ledger(
    prompt: str,
    parts: tuple[str, str, str, str],
    turn: Turn,
    page: _Page,
    dropped: tuple[Dropped, ...],
) -> Ledger:
    """Tokens by part. Counting ever longer beginnings makes the parts add up to the whole."""
    spec = page.spec
    start = prompt.rindex(turn.body)
    ends = [prompt.index(page.kept[0].body) if page.kept else start, start]
    for part in parts[:-1]:
        ends.append(min(ends[-1] + len(part), len(prompt)))
    counts = [spec.count(prompt[:end]) for end in (*ends, len(prompt))]
    head, history, images, passages, instruction, question = _steps(counts)
    past = [size for earlier in page.kept for size in earlier.sizes]
    before, now = _widened(spec, past, turn.sizes)
    return Ledger(
        spec.context_limit,
        page.room.answer,
        head + instruction,
        images + now,
        passages,
        history + before,
        question,
        counts[-1] + before + now,
        dropped,
        not spec.exact,
    )


def _widened(spec: PromptSpec, past: Sequence[Size], now: Sequence[Size]) -> tuple[int, int]:
    """Tokens that pictures take beyond their one ``<image>`` each, of earlier turns and of this."""
    both = spec.picture_tokens([*past, *now])
    own = spec.picture_tokens(now)
    if own + spec.picture_tokens(past) != both:  # several together are shown without tiles, alike
        own = both * len(now) // (len(past) + len(now))
    return both - own - len(past), own - len(now)


def _steps(counts: Sequence[int]) -> list[int]:
    return [counts[0], *(b - a for a, b in pairwise(counts))]


def mark_cited(sources: Sequence[Source], numbers: set[int]) -> tuple[Source, ...]:
    """The sources, with those marked that the answer cites."""
    return tuple(replace(s, cited=s.n in numbers) for s in sources)
