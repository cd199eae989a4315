"""Decoding answers step by step, one at a time or several at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers.generation import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ragvis.generator import int8, int8_cpu, int8_gpu
from ragvis.generator.int8_launch import can_compile
from ragvis.generator.int8_stack import Stack, fits
from ragvis.generator.reuse import Begun
from ragvis.generator.steps import ModelStep, StackStep, Step
from ragvis.types import Tell, silent

if TYPE_CHECKING:
    from ragvis.generator.reuse import Pictured
    from ragvis.generator.sampling import Sampling

    Prompt = tuple[torch.Tensor, Sequence[Pictured]]  # ids (n,), and the pictures among them

_BUCKET = 1024  # tokens; a cache is a multiple of it, so that few lengths are ever captured
_FINE = 256  # tokens; the same for several rows, whose caches are as many times larger
_AHEAD = 256  # tokens that are likely to be written behind what is only read
_SLOW = 2.0  # seconds, after which it is said what is waited for
_SAID = "getting ready for this GPU (the first time its kernels are compiled)"


class Decoder:
    """Writes answers with one model, keeping its captured step and the cache that belongs to it.

    Whoever takes the step has it alone: an answer that is written meanwhile, by another thread or
    between two words of the first, gets one of its own.

    Args:
        image_token: stands for pieces of pictures, and is never written.
        tell: hears what is going on where that takes long.
    """

    def __init__(self, model: Any, image_token: int, tell: Tell = silent) -> None:
        self._model = model
        self._image_token = image_token
        self._tell = tell
        self._stack = _stack_of(model)
        self._kept: list[Step] = []  # none or one
        self._rows: list[StackStep] = []  # none or one
        self._turn = threading.Lock()  # never held while a reader has the word
        self._own = threading.local()

    @torch.inference_mode()
    def tokens(
        self,
        ids: torch.Tensor,
        pictures: Sequence[Pictured],
        sampling: Sampling,
        ends: set[int],
    ) -> Iterator[int]:
        """New token ids until one of ``ends`` (not yielded) or ``max_new_tokens``.

        Args:
            ids: the prompt, (1, n).
            pictures: encoded, in the order of their tokens.
            sampling: greedy or drawn; beams are not for this decoder.
            ends: end-of-text ids.
        """
        chosen = _Choice(sampling, [ids[0]])
        with self._lent(_rounded(ids.shape[1] + sampling.max_new_tokens, _BUCKET)) as step:
            with self._turn, self._said_if_slow(step):
                self._own.reused = step.prefill(ids[0], pictures)
            for (token,) in self._written(step, chosen, sampling.max_new_tokens):
                if token in ends:
                    return
                yield token

    @torch.inference_mode()
    def first(self, ids: torch.Tensor, pictures: Sequence[Pictured]) -> torch.Tensor:
        """What comes after a prompt (1, n): logits (vocabulary,). It goes on from the last prompt
        as ``tokens`` does, which then goes on from this one."""
        with self._lent(_rounded(ids.shape[1] + _AHEAD, _BUCKET)) as step, self._turn:
            step.prefill(ids[0], pictures)
            return step.logits[0].clone()

    @torch.inference_mode()
    def many(
        self, prompts: Sequence[Prompt], sampling: Sampling, ends: set[int]
    ) -> list[list[int]]:
        """As ``tokens``, of several prompts at once, each read by itself and as long as it is; one
        after the other where the GPU has no room for that."""
        length = max(len(ids) for ids, _ in prompts) + sampling.max_new_tokens
        step = self._row_step(len(prompts), _rounded(length, _FINE))
        if step is None:
            return [list(self.tokens(ids[None], shown, sampling, ends)) for ids, shown in prompts]
        with self._turn, self._said_if_slow(step):
            for row, prompt in enumerate(prompts):
                step.prefill_row(row, *prompt)
        chosen = _Choice(sampling, [ids for ids, _ in prompts])
        written: list[list[int]] = [[] for _ in prompts]
        going = dict(enumerate(written))
        for tokens in self._written(step, chosen, sampling.max_new_tokens):
            going = {row: words for row, words in going.items() if tokens[row] not in ends}
            for row, words in going.items():
                words.append(tokens[row])
            if not going:
                break
        self._rows[:] = [step]
        return written

    @property
    def several(self) -> bool:
        """Whether ``many`` is there."""
        return self._stack is not None and self._stack.takes_rows

    @property
    def reused(self) -> int:
        """Tokens of the asking thread's last prompt that were known from the one before it."""
        return getattr(self._own, "reused", 0)

    def forget(self) -> None:
        """Begin the next prompt from its first token."""
        self._rows.clear()
        for step in self._kept:
            step.begun = Begun()

    def new_step(self, length: int) -> Step:
        """One for prompt and answer of so many tokens, which nobody else has."""
        if self._stack is not None:
            return StackStep(self._stack, length, self._image_token)
        return ModelStep(self._model, length, self._image_token)

    def _written(self, step: Step, chosen: _Choice, most: int) -> Iterator[list[int]]:
        """A token of every row, and the next; a GPU is at the next one while one is read."""
        for left in reversed(range(most)):
            with self._turn:  # a draw cannot be captured with another thread's step
                chosen(step)
            tokens, ahead = step.asked(), left and step.runs_ahead
            if ahead:
                self._advance(step)
            now = tokens()
            if ahead:
                step.has_gone_on(now)
            yield now
            if left and not ahead:
                self._advance(step)
                step.has_gone_on(now)

    def _advance(self, step: Step) -> None:
        with self._turn, self._said_if_slow(step):
            step.advance()

    @contextmanager
    def _said_if_slow(self, step: Step) -> Iterator[None]:
        """The first steps of all compile kernels, which then lie on disk."""
        if step.is_ready:
            yield
            return
        timer = threading.Timer(_SLOW, self._tell, [_SAID])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    @contextmanager
    def _lent(self, length: int) -> Iterator[Step]:
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

    def _taken(self, length: int) -> Step:
        kept = self._kept.pop() if self._kept else None
        if kept is not None and kept.serves(length):
            return kept
        self._rows.clear()  # which take as much room again
        step = self.new_step(length)
        if kept is not None and kept.length < length:
            step.take_over(kept)
        return step

    def _row_step(self, rows: int, length: int) -> StackStep | None:
        """As ``_taken``, of several rows, which hold nothing; None where there is no room."""
        assert self._stack is not None
        with self._turn:
            kept = self._rows.pop() if self._rows else None
            if kept is not None and kept.rows == rows and kept.length >= length:
                return kept
            del kept  # before its room is asked for
            if not self._stack.has_room(rows, length):
                return None
            return StackStep(self._stack, length, self._image_token, rows)


def _stack_of(model: Any) -> Stack | None:
    """What runs its layers; None leaves that to transformers."""
    if model.device.type == "cpu" and fits(model, torch.float32, int8.COLUMNS):
        return int8_cpu.CpuStack(model)
    if can_compile() and fits(model, torch.float16, int8_gpu.COLUMNS):
        return int8_gpu.GpuStack(model)
    return None


def _rounded(tokens: int, unit: int) -> int:
    return -(-tokens // unit) * unit


class _Choice:
    """Every row's next token, as transformers' ``generate`` would choose it."""

    def __init__(self, sampling: Sampling, prompts: Sequence[torch.Tensor]) -> None:
        self._picks: list[_Pick] = []
        if sampling.temperature > 0 or sampling.repetition_penalty != 1:
            self._picks = [_Pick(sampling, ids) for ids in prompts]

    def __call__(self, step: Step) -> None:
        """Put them into ``step.next``, where the likeliest stand."""
        for row, pick in enumerate(self._picks):
            step.next[row] = pick(step.logits[row])


class _Pick:
    """One row's next token, where it is not just the likeliest."""

    def __init__(self, sampling: Sampling, prompt: torch.Tensor) -> None:
        self._draw = sampling.temperature > 0
        self._ids = prompt[None]  # (1, n), grown as tokens are written
        self._processors = LogitsProcessorList(_processors(sampling))
        self._chance: torch.Generator | None = None  # torch's own, which all share
        if sampling.seed is not None:
            self._chance = torch.Generator(prompt.device).manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """One id of ``logits`` (vocabulary,)."""
        scores = self._processors(self._ids, logits[None].float())
        token = self._drawn(scores.softmax(-1)) if self._draw else scores.argmax(-1)
        self._ids = torch.cat([self._ids, token.view(1, 1)], dim=1)
        return token[0]

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
