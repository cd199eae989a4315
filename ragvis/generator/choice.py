"""Which model answers and how it is run; loaded when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragvis._arguments import require_part
from ragvis.errors import UsageError
from ragvis.types import ModelInfo, Tell

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragvis.composer import PromptSpec
    from ragvis.encoder import Encoder
    from ragvis.generator.sampling import Sampling, Usage, Written
    from ragvis.media.images import Picture

    Rows = NDArray[np.float16] | NDArray[np.float32]


class Shelf(Protocol):
    """Pictures as a model sees them, kept from before."""

    def get(self, revision: str, key: str) -> Rows | None:
        """(tokens, hidden) of a model's picture, by the sha256 of what its tower is given."""


class Generator(Protocol):
    """Anything that writes an answer: a checkpoint on this machine, or a server."""

    info: ModelInfo
    usage: Usage  # of the answer that the asking thread has read last
    batch: int  # prompts that are best written to at once

    @property
    def spec(self) -> PromptSpec:
        """What the composer has to know of it."""

    def stream(self, prompt: str, pictures: Sequence[Picture], sampling: Sampling) -> Iterator[str]:
        """The answer's text as it is written; ``usage`` is set when it ends."""

    def write_many(
        self, asked: Sequence[tuple[str, Sequence[Picture]]], sampling: Sampling
    ) -> list[Written]:
        """Answers to several prompts, each with its pictures."""

    def use(self, encoder: Encoder, shelf: Shelf) -> None:
        """Work that was done before: an encoder's tower, which may be the model's own, and
        pictures that went through it."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a person asked for; None leaves it to the machine and the checkpoint.

    Attributes:
        model: ``pocket``, a known name, a hub id, or a checkpoint folder; ``base+lora`` with both.
        lora: a peft adapter folder for it.
        quantize: "8bit", "4bit" or "none"; None is 8bit, and none for
            pocket on a CUDA GPU.
        template: conversation template, where the family's own is not wanted.
        engine: "int8" or "bitsandbytes" for 8-bit weights; None is int8.
    """

    model: str | None = None
    lora: str | None = None
    quantize: str | None = None
    template: str | None = None
    engine: str | None = None


def split_lora(name: str, lora: str | None) -> tuple[str, str | None]:
    """A model's name and its LoRA folder, of ``base+lora`` too.

    Raises:
        UsageError: two folders, or one that is no LoRA's.
    """
    base, plus, adapter = name.rpartition("+")
    if not plus or Path(name).is_dir():  # a folder may have a plus in its name
        return name, lora
    if lora is not None:
        raise UsageError(f"two LoRA folders: {adapter} and {lora}", "Give one.")
    if not adapter:
        raise UsageError(f"{name}: no LoRA folder after the +", "Name one, or leave the + out.")
    if not (Path(adapter) / "adapter_config.json").is_file():
        raise UsageError(f"{adapter} is no LoRA folder", "It holds no adapter_config.json.")
    return base, adapter


class LazyModel:
    """A chosen model that is loaded on first use, unless it is there already."""

    def __init__(self, choice: ModelChoice, tell: Tell, loaded: Generator | None = None) -> None:
        self.choice = choice
        self._tell = tell
        self._generator = loaded
        self._loading = threading.Lock()  # two threads must not each load one

    @classmethod
    def of(
        cls, model: str | Path | Generator | None, tell: Tell, **options: str | None
    ) -> LazyModel:
        """By its name or folder and the other fields of ``ModelChoice``, or as it was loaded.

        Raises:
            UsageError: no model, or options for one that is loaded already.
        """
        if model is None or isinstance(model, str | Path):
            named = None if model is None else str(model)
            return cls(ModelChoice(named, **options), tell)
        hint = "Give a name, a folder, or what ragvis.generator.load gave."
        require_part(model, "model", "write_many", hint)
        if any(value is not None for value in options.values()):
            raise UsageError("a loaded model is as it is", "Give the options when it is loaded.")
        return cls(ModelChoice(model.info.name), tell, model)

    @property
    def generator(self) -> Generator:
        """The model. Raises as ``ragvis.generator.load``."""
        with self._loading:
            if self._generator is None:
                self._generator = self._load()
            return self._generator

    def _load(self) -> Generator:
        from ragvis import generator
        from ragvis.models import registry

        choice = self.choice
        return generator.load(
            choice.model or registry.default_names(self._tell)[1],
            self._tell,
            lora=choice.lora,
            quantize=choice.quantize,
            template=choice.template,
            engine=choice.engine,
        )
