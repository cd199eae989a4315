"""How an answer is drawn from the model."""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields, replace
from typing import Any

from ragvis.errors import UsageError

STOP, LENGTH = "stop", "length"  # OpenAI's words for it


@dataclass(frozen=True, slots=True)
class Sampling:
    """Greedy unless ``temperature`` is above 0."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0 = no limit
    repetition_penalty: float = 1.0
    num_beams: int = 1
    seed: int | None = None

    @classmethod
    def of(cls, options: dict[str, str]) -> Sampling:
        """From ``-o KEY VALUE`` pairs.

        Raises:
            UsageError: an unknown key, or a value that is no number or out of range.
        """
        return cls().with_options(options)

    def with_options(self, options: dict[str, str]) -> Sampling:
        """The same with some options changed; raises as ``of``."""
        kinds = {f.name: int if f.name in _WHOLE else float for f in fields(self)}
        unknown = sorted(set(options) - set(kinds))
        if unknown:
            known = ", ".join(kinds)
            raise UsageError(f"unknown option {unknown[0]!r}", f"Known options: {known}.")
        try:
            values: dict[str, Any] = {k: kinds[k](v) for k, v in options.items()}
        except ValueError as error:
            raise UsageError(f"not a number: {error}", "Options take numbers.") from error
        return replace(self, **values)

    def __post_init__(self) -> None:
        ranges = {
            "max_new_tokens": (1, 100_000),
            "temperature": (0, 100),
            "top_p": (1e-6, 1),
            "top_k": (0, 1_000_000),
            "repetition_penalty": (0.1, 10),
            "num_beams": (1, 64),
        }
        for name, (low, high) in ranges.items():
            value, kind = getattr(self, name), int if name in _WHOLE else float
            if (
                not isinstance(value, int | float)
                or not low <= value <= high
                or kind(value) != value
            ):
                raise UsageError(f"{name} must lie in {low}..{high}, which {value!r} does not")
            object.__setattr__(self, name, kind(value))  # transformers refuses a temperature of 1
        if self.seed is not None and not (isinstance(self.seed, int) and 0 <= self.seed < 2**63):
            raise UsageError(f"a seed is a whole number from 0, not {self.seed!r}")

    def to_generate(self) -> dict[str, Any]:
        """The arguments of transformers' ``generate``."""
        drawn = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return {
            "max_new_tokens": self.max_new_tokens,
            "num_beams": self.num_beams,
            "repetition_penalty": self.repetition_penalty,
            "do_sample": self.temperature > 0,
            **(drawn if self.temperature > 0 else {}),
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, and why it ended.

    Attributes:
        prompt_tokens, completion_tokens: as the model counts them.
        reused_tokens: of the prompt, known from the one before it.
        finish_reason: "stop" where the model ended it, "length" where ``max_new_tokens`` did, or a
            server's own word.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reused_tokens: int = 0
    finish_reason: str = STOP

    @property
    def tokens(self) -> dict[str, int]:
        """The counts by name."""
        names = ("prompt_tokens", "completion_tokens", "reused_tokens")
        return {name: getattr(self, name) for name in names}

    @property
    def is_cut(self) -> bool:
        """Whether the answer goes on where it ends."""
        return self.finish_reason == LENGTH


def finish_reason(written: int, sampling: Sampling) -> str:
    """Why an answer of so many tokens ended, which has no end token among them."""
    return LENGTH if written >= sampling.max_new_tokens else STOP


class Counting:
    """Has the ``usage`` of the answer that the asking thread has read last."""

    def __init__(self) -> None:
        self._own = threading.local()

    @property
    def usage(self) -> Usage:
        """None is counted before the first answer."""
        return getattr(self._own, "usage", Usage())

    @usage.setter
    def usage(self, usage: Usage) -> None:
        self._own.usage = usage


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that was written in one go."""

    text: str
    usage: Usage


_WHOLE = {"max_new_tokens", "top_k", "num_beams", "seed"}
