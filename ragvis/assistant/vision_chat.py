"""A conversation about a picture, with no index: the tutorial's visual chat assistant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis import encoder as encoders
from ragvis._arguments import require_text
from ragvis.assistant.prepared import attached_hit
from ragvis.composer import Attachment, CitationFilter, Room, compose, neutral, settled
from ragvis.conversation import image_first, render
from ragvis.errors import ModelError, PromptTooLong, UsageError
from ragvis.generator.choice import LazyModel, ModelChoice
from ragvis.generator.sampling import Sampling
from ragvis.media.source import load_picture
from ragvis.models import pocket
from ragvis.prompts import NOT_SEEN, SAY_WHAT_IS_SEEN, is_refusal, may_refuse
from ragvis.types import Hit, Tell, silent

if TYPE_CHECKING:
    from ragvis.encoder import Encoder
    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a transcript."""

    role: str  # "user" or "assistant"
    text: str


class VisionChat:
    """Start with a picture, go on in words.

        chat = VisionChat("llava-1.5-7b")
        chat.start("tiger.jpg", "Describe the image.")
        chat.reply("What is unique about it?")

    Pocket learned to refuse where there are numbered sources, and only there: it is asked with the
    picture as its one source, under the name that its encoder may have for it, without the turns
    before, and says what it cannot see in it. Other models are told to in words before the first
    message; the rest is the tutorial's conversation.

    Args:
        model: as for ``Assistant``.
        lora, quantize, template, engine: as for ``Assistant``.
        sampling: how answers are drawn unless a call says otherwise.
        system: replaces the template's own system text, and is obeyed wherever that leads: nothing
            is said of refusing, as without ``refuse``.
        refuse: have the model say so where it is asked for what the picture does not show. Without,
            every prompt is the tutorial's to the letter.
        tell: takes one-line notices.
    """

    def __init__(
        self,
        model: str | Path | Generator | None = None,
        *,
        lora: str | None = None,
        quantize: str | None = None,
        template: str | None = None,
        engine: str | None = None,
        sampling: Sampling | None = None,
        system: str | None = None,
        refuse: bool = True,
        tell: Tell = silent,
    ) -> None:
        options = {"lora": lora, "quantize": quantize, "template": template, "engine": engine}
        self._model = LazyModel.of(model, tell, **options)
        self.sampling = sampling or Sampling()
        self.system = system
        self.refuse = refuse and system is None
        self._pictures: list[tuple[Hit, Picture]] = []  # none, or the one
        self._name: str | None = None  # of the picture; None until it was looked at
        self._turns: list[Turn] = []
        self.prompt = ""  # the last one, exactly
        self.drawn = self.sampling  # how the last answer was

    @property
    def choice(self) -> ModelChoice:
        """Which model was asked for."""
        return self._model.choice

    @property
    def picture(self) -> Picture:
        """What the conversation is about.

        Raises:
            UsageError: it has not begun.
        """
        return self._shown[1]

    @property
    def hit(self) -> Hit:
        """The picture as a source. Raises as ``picture``."""
        return self._shown[0]

    @property
    def _shown(self) -> tuple[Hit, Picture]:
        if not self._pictures:
            raise UsageError("the conversation has not begun", "Call start() with a picture.")
        return self._pictures[0]

    @property
    def transcript(self) -> tuple[Turn, ...]:
        """Every message so far."""
        return tuple(self._turns)

    @property
    def generator(self) -> Generator:
        """The model, loaded on first use."""
        return self._model.generator

    def start(
        self,
        picture: str | Path | bytes | Picture,
        prompt: str = "Describe the image.",
        sampling: Sampling | None = None,
    ) -> str:
        """Begin a new conversation about a picture (a path, URL, bytes, or PIL image).

        Raises:
            UsageError: the picture cannot be opened, or the prompt is empty.
            ModelError: the model cannot be loaded or fails.
        """
        return "".join(self.start_stream(picture, prompt, sampling))

    def start_stream(
        self,
        picture: str | Path | bytes | Picture,
        prompt: str = "Describe the image.",
        sampling: Sampling | None = None,
    ) -> Iterator[str]:
        """``start``, piece by piece."""
        require_text(prompt, "message")
        self._open(picture)
        self._turns = []
        return self._say(prompt, sampling)

    def resume(
        self, picture: str | Path | bytes | Picture | None = None, turns: Iterable[Turn] = ()
    ) -> None:
        """Take up a conversation that was had before; ``reply`` goes on with it.

        Args:
            picture: what it is about; None keeps the picture that is there.
            turns: its messages; none begins anew.

        Raises:
            UsageError: the picture cannot be opened.
        """
        if picture is not None:
            self._open(picture)
        self._turns = list(turns)

    def _open(self, source: str | Path | bytes | Picture) -> None:
        picture = load_picture(source)
        self._pictures = [(attached_hit(0, source, picture), picture)]
        self._name = None

    def reply(self, prompt: str, sampling: Sampling | None = None) -> str:
        """Go on with the conversation. A reply is part of it once it has ended, and only where
        the conversation has not gone on or begun anew meanwhile.

        Raises:
            UsageError: there is none yet, or the prompt is empty.
            PromptTooLong: the conversation no longer fits the model.
        """
        return "".join(self.reply_stream(prompt, sampling))

    def reply_stream(self, prompt: str, sampling: Sampling | None = None) -> Iterator[str]:
        """``reply``, piece by piece."""
        require_text(prompt, "message")
        return self._say(prompt, sampling)

    def _say(self, prompt: str, sampling: Sampling | None) -> Iterator[str]:
        """Asked of the conversation as it is now, whenever the pieces are read."""
        sampling, picture, before = sampling or self.sampling, self.picture, self._turns
        turns = [*before, Turn("user", prompt)]
        grounded = self.refuse and not self.generator.spec.refuses_bare
        text = self._grounded(prompt, sampling) if grounded else self._plain(turns, sampling)
        self.prompt, self.drawn = text, sampling
        pieces = self.generator.stream(text, [picture], sampling)
        return self._read(_ungrounded(pieces) if grounded else pieces, before, turns)

    def _read(
        self, pieces: Iterator[str], before: list[Turn], turns: Sequence[Turn]
    ) -> Iterator[str]:
        said: list[str] = []
        for piece in pieces:
            piece = piece if said else piece.lstrip()
            said.append(piece)
            yield piece
        # A conversation holds whole turns only: one that was broken off is as if never asked.
        if self._turns is before:
            self._turns = [*turns, Turn("assistant", "".join(said).strip())]

    def _grounded(self, question: str, sampling: Sampling) -> str:
        """The question of the picture as the only source."""
        shown = [Attachment(self.hit, self.picture.size, self._called())]
        room = Room(answer=sampling.max_new_tokens)
        return compose(question, [], shown, {}, self.generator.spec, room).prompt

    def _called(self) -> str:
        """What pocket's encoder calls the picture, where it is sure: pocket itself knows few."""
        if self._name is None:
            self._name = _named(self.picture)
        return self._name

    def _plain(self, turns: Sequence[Turn], sampling: Sampling) -> str:
        text = self._render(turns)
        self._check_room(text, sampling)
        return text

    def _render(self, turns: Sequence[Turn]) -> str:
        spec = self.generator.spec
        messages: list[dict[str, Any]] = []
        for i, turn in enumerate(turns):
            text = neutral(turn.text, spec.markers, keep_lines=True)
            messages.append({"role": turn.role, "content": text if i else self._opening(text)})
        messages.append({"role": "assistant", "content": None})
        return render(spec.template, messages, self.system)

    def _opening(self, text: str) -> str:
        return image_first(f"{SAY_WHAT_IS_SEEN}\n\n{text}" if self.refuse else text)

    def _check_room(self, text: str, sampling: Sampling) -> None:
        spec = self.generator.spec
        tokens = spec.count(text) - 1 + spec.picture_tokens([self.picture.size])
        if tokens + sampling.max_new_tokens > spec.context_limit:
            raise PromptTooLong(
                f"the conversation takes {tokens} tokens of {spec.context_limit}",
                "Start a new one.",
            )


def _named(picture: Picture) -> str:
    encoder = _pocket_encoder()
    if encoder is None or encoder.names is None:
        return ""
    return encoder.names.of(encoder.encode_pictures([picture]))[0]


@cache
def _pocket_encoder() -> Encoder | None:
    """The one encoder that names pictures; None where pocket lies not on this machine, or broken:
    a chat does without a name then."""
    if pocket.installed() is None:
        return None
    try:
        encoder = encoders.load("pocket", silent)
        _ = encoder.fit  # loads all of it
    except ModelError:
        return None
    return encoder


def _ungrounded(pieces: Iterator[str]) -> Iterator[str]:
    """An answer from sources as one about a picture: without numbers, refusing in other words."""
    coming = settled(CitationFilter(()).of(pieces))
    first = next(coming)
    yield NOT_SEEN if may_refuse(first) and is_refusal(first) else first
    yield from coming
