"""A training loop that can be stopped and run again, for all stages alike."""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ragvis._files import replace
from ragvis.errors import UsageError

_STATE = "state.pt"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast.

    Attributes:
        steps: updates of the weights.
        rate: learning rate at its highest.
        warm_up: share of the steps in which it rises.
        decay: weight decay.
        every: seconds between two checkpoints.

    Raises:
        UsageError: a rate that is none.
    """

    steps: int
    rate: float
    warm_up: float = 0.03
    decay: float = 0.0
    every: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:  # false for NaN too
            raise UsageError(f"a learning rate of {self.rate}", "It lies between 0 and 1.")

    def rate_at(self, step: int) -> float:
        """A linear rise, then half a cosine down to a hundredth."""
        rising = max(1, round(self.warm_up * self.steps))
        if step < rising:
            return self.rate * (step + 1) / rising
        done = (step - rising) / max(1, self.steps - rising)
        return self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def train(
    parameters: Sequence[torch.nn.Parameter],
    loss_of: Callable[[int], torch.Tensor],
    plan: Plan,
    folder: Path,
    tell: Callable[[str], None] = print,
    of: str = "",
) -> list[float]:
    """Minimise a loss.

    A run that was stopped goes on from its last checkpoint, to the same end: what a step sees
    depends on its number alone.

    Args:
        parameters: what is learned.
        loss_of: the loss of a step, by its number.
        plan: how long and how fast.
        folder: for the log and the checkpoint.
        tell: takes one-line notices.
        of: tells a run from another one that learns from other data, or began otherwise.

    Returns:
        The loss of every step of this run.

    Raises:
        UsageError: the folder holds a checkpoint of another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned = list(parameters)
    optimizer = torch.optim.AdamW(learned, plan.rate, betas=(0.9, 0.98), weight_decay=plan.decay)
    begun = _resume(folder / _STATE, learned, optimizer, of)
    losses: list[float] = []
    saved = told = time.monotonic()
    for step in range(begun, plan.steps):
        losses.append(_step(learned, optimizer, loss_of, step, plan.rate_at(step)))
        now = time.monotonic()
        last = step + 1 == plan.steps
        if now - told >= 5 or last:
            told = now
            tell(f"{folder.name}: step {step + 1} of {plan.steps}, loss {losses[-1]:.3f}")
        if now - saved >= plan.every or last:
            saved = now
            _save(folder / _STATE, {"step": step + 1, "of": of}, learned, optimizer)
            _note(folder / LOG, step + 1, losses[-1])
    return losses


def _step(
    learned: list[torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[int], torch.Tensor],
    step: int,
    rate: float,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = rate
    torch.manual_seed(step)  # augmentation and dropout too are the step's own
    loss = loss_of(step)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(learned, 1.0)
    optimizer.step()
    return float(loss.detach())


def _save(
    file: Path,
    about: dict[str, Any],
    learned: list[torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> None:
    part = file.with_suffix(".part")
    state = {"learned": [p.detach().cpu() for p in learned], "optimizer": optimizer.state_dict()}
    torch.save(about | state, part)
    replace(part, file)


def _resume(
    file: Path, learned: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer, of: str
) -> int:
    if not file.is_file():
        return 0
    try:
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise UsageError(f"{file} is damaged", "Remove it; the stage begins anew.") from error
    shapes = [p.shape for p in learned]
    if state["of"] != of or [p.shape for p in state["learned"]] != shapes:
        raise UsageError(f"{file.parent} holds another run", "Choose another --out, or remove it.")
    with torch.no_grad():
        for own, known in zip(learned, state["learned"], strict=True):
            own.copy_(known)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _note(file: Path, step: int, loss: float) -> None:
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"step": step, "loss": round(loss, 4), "at": time.time()}) + "\n")
