"""A conversation about a picture, with no index: the tutorial's visual chat assistant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragvis.composer import neutral
from ragvis.conversation import image_first, render
from ragvis.errors import PromptTooLong, UsageError
from ragvis.generator.choice import LazyModel, ModelChoice
from ragvis.generator.sampling import Sampling
from ragvis.media.source import load_picture
from ragvis.prompts import POCKET_CHAT_SYSTEM
from ragvis.types import Tell, silent

if TYPE_CHECKING:
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

    Args:
        model: as for ``Assistant``.
        lora, quantize, template, engine: as for ``Assistant``.
        sampling: how answers are drawn unless a call says otherwise.
        system: replaces the template's own system text.
        tell: takes one-line notices.
    """

    def __init__(
        self,
        model: str | Generator | None = None,
        *,
        lora: str | None = None,
        quantize: str | None = None,
        template: str | None = None,
        engine: str | None = None,
        sampling: Sampling | None = None,
        system: str | None = None,
        tell: Tell = silent,
    ) -> None:
        options = {"lora": lora, "quantize": quantize, "template": template, "engine": engine}
        self._model = LazyModel.of(model, tell, **options)
        self._sampling = sampling or Sampling()
        self._system = system
        self._pictures: list[Picture] = []
        self._turns: list[Turn] = []
        self.prompt = ""  # the last one, exactly

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
        self._pictures = [load_picture(picture)]
        self._turns = []
        return self._say(self.picture, prompt, sampling)

    def resume(self, picture: str | Path | bytes | Picture, turns: Iterable[Turn]) -> None:
        """Take up a conversation that was had before; ``reply`` goes on with it."""
        self._pictures = [load_picture(picture)]
        self._turns = list(turns)

    def reply(self, prompt: str, sampling: Sampling | None = None) -> str:
        """Go on with the conversation.

        Raises:
            UsageError: there is none yet, or the prompt is empty.
            PromptTooLong: the conversation no longer fits the model.
        """
        return "".join(self.reply_stream(prompt, sampling))

    def reply_stream(self, prompt: str, sampling: Sampling | None = None) -> Iterator[str]:
        """``reply``, piece by piece."""
        return self._say(self.picture, prompt, sampling)

    def _say(self, picture: Picture, prompt: str, sampling: Sampling | None) -> Iterator[str]:
        if not prompt.strip():
            raise UsageError("the message is empty")
        sampling = sampling or self._sampling
        turns = [*self._turns, Turn("user", prompt)]
        text = self._render(turns)
        self._check_room(text, sampling)
        said: list[str] = []
        self.prompt = text
        for piece in self.generator.stream(text, [picture], sampling):
            piece = piece if said else piece.lstrip()
            said.append(piece)
            yield piece
        # A conversation holds whole turns only: one that was broken off is as if never asked.
        self._turns = [*turns, Turn("assistant", "".join(said).strip())]

    def _render(self, turns: list[Turn]) -> str:
        spec = self.generator.spec
        messages: list[dict[str, Any]] = []
        for i, turn in enumerate(turns):
            text = neutral(turn.text, spec.markers, keep_lines=True)
            messages.append({"role": turn.role, "content": image_first(text) if i == 0 else text})
        messages.append({"role": "assistant", "content": None})
        default = POCKET_CHAT_SYSTEM if spec.template == "pocket" else None
        system = self._system if self._system is not None else default
        return render(spec.template, messages, system)

    def _check_room(self, text: str, sampling: Sampling) -> None:
        spec = self.generator.spec
        tokens = spec.count(text) - 1 + spec.picture_tokens([p.size for p in self._pictures])
        if tokens + sampling.max_new_tokens > spec.context_limit:
            raise PromptTooLong(
                f"the conversation takes {tokens} tokens of {spec.context_limit}",
                "Start a new one.",
            )
