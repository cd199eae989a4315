"""One token in, the next token's logits out, through fixed buffers.

A decode step launches hundreds of small kernels; launched one by one from Python they take longer
than their work. A step here reads and writes fixed buffers, so that it can be captured as a CUDA
graph and replayed. On the CPU the same step runs as it is, which is how it is tested.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache

from ragvis.generator.int8_stack import Held, Stack
from ragvis.generator.reuse import Begun, as_outputs, from_position

if TYPE_CHECKING:
    from ragvis.generator.reuse import Pictured

_WARM_UPS = 2  # steps before a capture: libraries allocate and choose kernels in them


class Step(ABC):
    """Prompts, then token after token, in ``rows`` of at most ``length`` in all.

    After a prompt, and after every token, ``logits`` (rows, vocabulary) are what comes next, that
    of ``image_token`` never, and ``next`` (rows,) is the likeliest, with which ``advance`` goes on
    unless another is put there.

    Args:
        logits: the buffer for them.
    """

    def __init__(self, length: int, image_token: int, logits: torch.Tensor) -> None:
        self.length = length
        self.rows = rows = len(logits)
        self.begun = Begun()
        self._image_token = image_token
        self.logits = logits
        self.runs_ahead = logits.is_cuda  # it works while its tokens are read
        self.next = torch.zeros(rows, dtype=torch.long, device=logits.device)
        self._graph: Any = None
        self._read: Any = None  # the event that ``next`` is in ``_said``
        if logits.is_cuda:
            self._said = torch.zeros(rows, dtype=torch.long, pin_memory=True)
            self._read = torch.cuda.Event()  # type: ignore[no-untyped-call]

    def prefill(self, ids: torch.Tensor, pictures: Sequence[Pictured]) -> int:
        """Read a prompt (n,) into the only row; how many of its tokens were known."""
        listed = ids.tolist()
        known = self._known(listed, pictures)
        self.begun = Begun(listed[:known], pictures)
        new = from_position(known, listed, pictures, self._image_token)
        self._say(self._after(ids[known:], new, known))
        self.begun = Begun(listed, pictures)
        return known

    def _known(self, ids: list[int], pictures: Sequence[Pictured]) -> int:
        return self.begun.shared(ids, pictures, self._image_token)

    @abstractmethod
    def _after(self, ids: torch.Tensor, pictures: Sequence[Pictured], known: int) -> torch.Tensor:
        """Logits (1, vocabulary) after a prompt whose first ``known`` tokens are there, and whose
        others are ids (n,)."""

    @abstractmethod
    def take_over(self, shorter: Any) -> None:
        """Go on from what another step's cache holds, which is gone with it."""

    @abstractmethod
    def serves(self, length: int) -> bool:
        """Whether it is for prompts and answers of so many tokens."""

    @abstractmethod
    def _next(self) -> torch.Tensor:
        """Logits (rows, vocabulary) after ``next``, whose places come after."""

    @abstractmethod
    def _places(self) -> torch.Tensor:
        """How many tokens there are, of every row or of all: a copy."""

    @abstractmethod
    def _rewind(self, places: torch.Tensor) -> None:
        """Take back what was written behind these places."""

    def advance(self) -> None:
        """Go on by the next token of every row; a GPU does so while this returns."""
        if not self.next.is_cuda:
            self._run()
            return
        if self._graph is None:
            self._capture()
        self._graph.replay()

    def asked(self) -> Callable[[], list[int]]:
        """Ask for the next token of every row, to be had even when the step has gone on."""
        if self._read is None:
            tokens = self.next.tolist()
            return lambda: tokens
        self._said.copy_(self.next, non_blocking=True)
        self._read.record()
        return self._answered

    def _answered(self) -> list[int]:
        self._read.synchronize()
        tokens: list[int] = self._said.tolist()
        return tokens

    def has_gone_on(self, tokens: list[int]) -> None:
        """Keep in mind by which tokens; of several rows nothing is used again."""
        if self.rows == 1:
            self.begun.ids += tokens

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be compiled any more."""
        return self._graph is not None or not self.next.is_cuda

    def _run(self) -> None:
        self._say(self._next())

    def _say(self, logits: torch.Tensor, rows: slice = slice(None)) -> None:
        """Into the buffers, which stay where they are."""
        logits[:, self._image_token] = -torch.inf
        self.logits[rows] = logits
        self.next[rows] = logits.argmax(-1)

    def _capture(self) -> None:
        """Warm up on another stream, as CUDA graphs want, then take those steps back."""
        start, token = self._places(), self.next.clone()
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._run()
                self._rewind(start)
                self.next.copy_(token)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # An encoder, or another answer's pictures, may be on the GPU meanwhile in another thread
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._run()


class ModelStep(Step):
    """By transformers' own layers, of whatever family."""

    def __init__(self, model: Any, length: int, image_token: int) -> None:
        head = model.lm_head.weight
        super().__init__(length, image_token, head.new_zeros((1, len(head))))
        self._model = model
        self._cache = StaticCache(config=model.config.get_text_config(), max_cache_len=length)
        self._slots = torch.arange(length, device=model.device)  # (length,)
        self._position = torch.zeros((1, 1), dtype=torch.long, device=model.device)

    def _known(self, ids: list[int], pictures: Sequence[Pictured]) -> int:
        if any(layer.is_sliding for layer in self._cache.layers):
            return 0  # what has left a sliding window cannot be had back
        return super()._known(ids, pictures)

    def _after(self, ids: torch.Tensor, pictures: Sequence[Pictured], known: int) -> torch.Tensor:
        if known:
            self._rewind(torch.tensor(known))
        else:
            self._cache.reset()
        out = self._model(
            input_ids=ids[None],
            cache=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **as_outputs(pictures, ids.device),
        )
        self._position.fill_(known + len(ids))
        logits: torch.Tensor = out.logits[0, -1:]
        return logits

    def take_over(self, shorter: ModelStep) -> None:
        """See ``Step``."""
        layers = list(zip(self._cache.layers, shorter._cache.layers, strict=True))
        if any(layer.is_sliding or not old.is_initialized for layer, old in layers):
            return
        for layer, old in layers:
            layer.lazy_initialization(old.keys, old.values)
            layer.keys[:, :, : old.max_cache_len] = old.keys
            layer.values[:, :, : old.max_cache_len] = old.values
            old.keys = old.values = None  # layer by layer, so that both are never whole
        self.begun = shorter.begun

    def _next(self) -> torch.Tensor:
        seen = (self._slots <= self._position[0, 0])[None, None, None, :]  # (1, 1, 1, length)
        hidden = self._model.model.language_model(
            input_ids=self.next[None],
            position_ids=self._position,
            attention_mask=seen,
            cache=self._cache,
            use_cache=True,
        ).last_hidden_state
        self._position.add_(1)
        logits: torch.Tensor = self._model.lm_head(hidden[:, -1])
        return logits

    def _places(self) -> torch.Tensor:
        return self._position.clone()

    def serves(self, length: int) -> bool:
        """See ``Step``: every step goes through the whole cache."""
        return self.length == length

    def _rewind(self, places: torch.Tensor) -> None:
        self._position.fill_(int(places))
        for layer in self._cache.layers:
            layer.cumulative_length.fill_(int(places))


class StackStep(Step):
    """By layers of our own, for the families that these know; on a GPU of several rows, too."""

    def __init__(self, stack: Stack, length: int, image_token: int, rows: int = 1) -> None:
        assert stack.takes_rows or rows == 1
        super().__init__(length, image_token, stack.new_logits(rows))
        self._stack = stack
        self._held = Held(stack, rows, length)

    def prefill_row(self, row: int, ids: torch.Tensor, pictures: Sequence[Pictured]) -> None:
        """Read a prompt (n,) into a row, which begins anew."""
        self._say(self._after(ids, pictures, 0, row), slice(row, row + 1))

    def _after(
        self, ids: torch.Tensor, pictures: Sequence[Pictured], known: int, row: int = 0
    ) -> torch.Tensor:
        self._held.fill()
        hidden = self._stack.embed(ids)  # (n, width)
        if pictures:
            seen = torch.cat([picture.features for picture in pictures]).to(hidden)
            hidden = hidden.masked_scatter((ids == self._image_token)[:, None], seen)
        return self._stack.logits(self._stack.read(hidden, self._held, row, known)[-1:])

    def take_over(self, shorter: StackStep) -> None:
        """See ``Step``."""
        self._held.fill(shorter._held)
        self.begun = shorter.begun

    def _next(self) -> torch.Tensor:
        hidden = self._stack.step(self._stack.embed(self.next), self._held)
        return self._stack.logits(hidden)

    def _places(self) -> torch.Tensor:
        return self._held.positions.clone()

    def serves(self, length: int) -> bool:
        """See ``Step``: what is behind the last token costs nothing."""
        return self.length >= length

    def _capture(self) -> None:
        self._stack.warm()
        super()._capture()

    def _rewind(self, places: torch.Tensor) -> None:
        self._held.positions.copy_(places)
