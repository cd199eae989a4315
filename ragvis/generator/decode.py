"""Decoding one answer step by step, the step captured once as a CUDA graph.

A decode step launches some thousand small kernels; launched one by one from Python they take
longer than their work. The step here reads and writes fixed buffers, so that it can be captured
and replayed. On the CPU the same step runs as it is, which is how it is tested.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache
from transformers.generation import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ragvis.generator.reuse import Begun, as_outputs, from_position

if TYPE_CHECKING:
    from ragvis.generator.reuse import Pictured
    from ragvis.generator.sampling import Sampling

_BUCKET = 1024  # tokens; a cache is a multiple of it, so that few lengths are ever captured
_WARM_UPS = 2  # steps before a capture: libraries allocate and choose kernels in them


class Decoder:
    """Writes answers with one model, keeping its captured step and the cache that belongs to it.

    Whoever takes the step has it alone: an answer that is written meanwhile, by another thread or
    between two words of the first, gets one of its own.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: list[_Step] = []  # none or one
        self._turn = threading.Lock()  # never held while a reader has the word
        self._own = threading.local()

    @torch.inference_mode()
    def tokens(
        self,
        ids: torch.Tensor,
        pictures: Sequence[Pictured],
        sampling: Sampling,
        image_token: int,
        ends: set[int],
    ) -> Iterator[int]:
        """New token ids until one of ``ends`` (not yielded) or ``max_new_tokens``.

        Args:
            ids: the prompt, (1, n).
            pictures: encoded, in the order of their tokens.
            sampling: greedy or drawn; beams are not for this decoder.
            image_token: stands for pieces of pictures, and is never written.
            ends: end-of-text ids.
        """
        needed = ids.shape[1] + sampling.max_new_tokens
        pick = _Pick(sampling, image_token, ids)
        with self._lent(-(-needed // _BUCKET) * _BUCKET) as step:
            with self._turn:
                logits, self._own.reused = step.prefill(ids, pictures, image_token)
            for _ in range(sampling.max_new_tokens):
                token = pick(logits)
                if int(token) in ends:
                    return
                yield int(token)
                with self._turn:
                    logits = step.advance(token)

    @property
    def reused(self) -> int:
        """Tokens of the asking thread's last prompt that were known from the one before it."""
        return getattr(self._own, "reused", 0)

    def forget(self) -> None:
        """Begin the next prompt from its first token."""
        for step in self._kept:
            step.begun = Begun()

    @contextmanager
    def _lent(self, length: int) -> Iterator[_Step]:
        """A step, kept afterwards; not where it failed or was interrupted, as it may hold half a
        token then."""
        with self._turn:
            step = self._taken(length)
        try:
            yield step
        except GeneratorExit:  # its reader had enough, between two tokens
            self._kept[:] = [step]
            raise
        self._kept[:] = [step]

    def _taken(self, length: int) -> _Step:
        kept = self._kept.pop() if self._kept else None
        if kept is not None and kept.length == length:
            return kept
        step = _Step(self._model, length)
        if kept is not None and kept.length < length:
            step.take_over(kept)
        return step


class _Step:
    """One token in, the next token's logits out, through fixed buffers."""

    def __init__(self, model: Any, length: int) -> None:
        self._model = model
        self.length = length
        device = model.device
        self._cache = StaticCache(config=model.config.get_text_config(), max_cache_len=length)
        self._slots = torch.arange(length, device=device)  # (length,)
        self._token = torch.zeros((1, 1), dtype=torch.long, device=device)
        self._position = torch.zeros((1, 1), dtype=torch.long, device=device)
        self._logits: torch.Tensor | None = None  # (vocabulary,)
        self._graph: Any = None
        self.begun = Begun()

    def prefill(
        self, ids: torch.Tensor, pictures: Sequence[Pictured], image_token: int
    ) -> tuple[torch.Tensor, int]:
        """Logits (vocabulary,) after the prompt (1, n), and how many of its tokens were known."""
        listed = ids[0].tolist()
        known = self.begun.shared(listed, pictures, image_token)
        if any(layer.is_sliding for layer in self._cache.layers):
            known = 0  # what has left a sliding window cannot be had back
        self.begun = Begun(listed[:known], pictures)
        if known:
            self._rewind(known)
        else:
            self._cache.reset()
        new = as_outputs(from_position(known, listed, pictures, image_token), ids.device)
        out = self._model(
            input_ids=ids[:, known:],
            cache=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **new,
        )
        self._position.fill_(len(listed))
        self.begun = Begun(listed, pictures)
        logits: torch.Tensor = out.logits[0, -1]
        return logits, known

    def take_over(self, shorter: _Step) -> None:
        """Go on from what another step's cache holds, which is gone with it."""
        layers = list(zip(self._cache.layers, shorter._cache.layers, strict=True))
        if any(layer.is_sliding or not old.is_initialized for layer, old in layers):
            return
        for layer, old in layers:
            layer.lazy_initialization(old.keys, old.values)
            layer.keys[:, :, : old.max_cache_len] = old.keys
            layer.values[:, :, : old.max_cache_len] = old.values
            old.keys = old.values = None  # layer by layer, so that both are never whole
        self.begun = shorter.begun

    def advance(self, token: torch.Tensor) -> torch.Tensor:
        """Logits (vocabulary,) after ``token`` (one id)."""
        self._token.copy_(token.view(1, 1))
        self.begun.ids.append(int(token))
        if self._token.is_cuda:
            if self._graph is None:
                self._capture()
            self._graph.replay()
        else:
            self._run()
        assert self._logits is not None
        return self._logits

    def _run(self) -> None:
        seen = (self._slots <= self._position[0, 0])[None, None, None, :]  # (1, 1, 1, length)
        hidden = self._model.model.language_model(
            input_ids=self._token,
            position_ids=self._position,
            attention_mask=seen,
            cache=self._cache,
            use_cache=True,
        ).last_hidden_state
        logits = self._model.lm_head(hidden[:, -1])[0]
        if self._logits is None:
            self._logits = torch.empty_like(logits)
        self._logits.copy_(logits)
        self._position.add_(1)

    def _capture(self) -> None:
        """Warm up on another stream, as CUDA graphs want, then take those steps back."""
        start = int(self._position)
        side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._run()
                self._rewind(start)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        # An encoder, or another answer's pictures, may be on the GPU meanwhile in another thread
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._run()

    def _rewind(self, position: int) -> None:
        self._position.fill_(position)
        for layer in self._cache.layers:
            layer.cumulative_length.fill_(position)


class _Pick:
    """Chooses the next token as transformers' ``generate`` would."""

    def __init__(self, sampling: Sampling, banned: int, prompt: torch.Tensor) -> None:
        self._draw = sampling.temperature > 0
        self._banned = banned
        self._ids = prompt  # (1, n), grown as tokens are written
        self._processors = LogitsProcessorList(_processors(sampling))
        self._chance: torch.Generator | None = None  # torch's own, which all share
        if sampling.seed is not None:
            self._chance = torch.Generator(prompt.device).manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """One id of ``logits`` (vocabulary,)."""
        scores = logits[None].float()
        scores[:, self._banned] = -torch.inf
        scores = self._processors(self._ids, scores)
        token = self._drawn(scores.softmax(-1)) if self._draw else scores.argmax(-1)
        if self._processors:
            self._ids = torch.cat([self._ids, token.view(1, 1)], dim=1)
        return token

    def _drawn(self, odds: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(odds, 1, generator=self._chance)[0]


def _processors(sampling: Sampling) -> Iterator[Any]:
    if sampling.repetition_penalty != 1:
        yield RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)
    if sampling.temperature > 0:
        yield TemperatureLogitsWarper(sampling.temperature)
        if sampling.top_k:
            yield TopKLogitsWarper(sampling.top_k)
        if sampling.top_p < 1:
            yield TopPLogitsWarper(sampling.top_p)
