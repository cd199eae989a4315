"""What stands between a model and the reader of its words."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import StoppingCriteria

from ragvis.errors import ModelError


@contextmanager
def failing() -> Iterator[None]:
    """Raises:
    ModelError: for whatever the model or the GPU raises.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        hint = "Ask with fewer sources (-k 2), quantize (--quantize 4bit), or use pocket."
        raise ModelError("the GPU ran out of memory", hint) from error
    except Exception as error:
        raise ModelError(f"the model failed: {' '.join(str(error).split())[:300]}") from error


_SEEDING = threading.Lock()


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """PyTorch's own generators, which all of the process share, at a seed; and as they were."""
    if seed is None:
        yield
        return
    with _SEEDING, torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


class StopWhen(StoppingCriteria):  # type: ignore[misc]
    """Ends generation when the reader has gone."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._event.is_set(), device=input_ids.device)


class StopText:
    """Cuts a stream at the first stop string, holding back what may be the start of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def feed(self, piece: str) -> Iterator[str]:
        self._held += piece
        places = [i for s in self._stops if (i := self._held.find(s)) >= 0]
        if places:
            self.found = True
            self._held = self._held[: min(places)]
            return
        keep = max((_overlap(self._held, s) for s in self._stops), default=0)
        cut = len(self._held) - keep
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            yield ready

    def finish(self) -> Iterator[str]:
        if self._held:
            yield self._held
        self._held = ""


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop``."""
    return next((n for n in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:n])), 0)
