"""Two rounds of training as one: the weights between them.

A round on new data teaches what it holds and takes some of what was there. Halfway along the line
between the weights before and after it most of both is found (Wortsman et al., Robust fine-tuning
of zero-shot models, 2022).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ragvis.errors import UsageError
from scripts.pocket.lora import LORA_FILE
from scripts.pocket.stages import CONNECTOR, LORA, write

_A, _B = "lora_A", "lora_B"


def average(before: Path, after: Path, share: float, out: Path) -> None:
    """Write ``connector.safetensors`` and ``lora/`` of a share of the way from one to the other.

    A LoRA's matrices are not averaged but what they add to the model, B A, of which the average is
    cut back to their rank by its largest singular values.

    Args:
        before: what a stage 2 wrote, or the folder of pocket's weights.
        after: what a later one wrote, of the same rank.
        share: of the way, 0 to 1.
        out: a folder that is not there yet.

    Raises:
        UsageError: it is there, or the two are not of one shape.
    """
    if out.exists():
        raise UsageError(f"{out} is there already", "Choose another --out.")
    one, other = _read(before / CONNECTOR), _read(after / CONNECTOR)
    first, second = _read(before / LORA / LORA_FILE), _read(after / LORA / LORA_FILE)
    if _shapes(one) != _shapes(other) or _shapes(first) != _shapes(second):
        raise UsageError("these weights are not of one shape", "Average rounds of one training.")
    out.mkdir(parents=True)
    write({k: torch.lerp(one[k], other[k], share) for k in one}, out / CONNECTOR)
    shutil.copytree(after / LORA, out / LORA)
    write(_between(first, second, share), out / LORA / LORA_FILE)


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        return {name: part.float() for name, part in load_file(file).items()}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"no weights in {file}: {error}", "Name what stage 2 wrote.") from error


def _shapes(state: dict[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: part.shape for name, part in state.items()}


def _between(
    first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], share: float
) -> dict[str, torch.Tensor]:
    """A LoRA's matrices, A (rank, in) and B (out, rank), by name."""
    found = {}
    for a in (name for name in first if _A in name):
        b = a.replace(_A, _B)
        left = torch.cat([(1 - share) * first[b], share * second[b]], 1)  # (out, 2 rank)
        right = torch.cat([first[a], second[a]])  # (2 rank, in)
        found[b], found[a] = _cut(left, right, len(first[a]))
    return found


def _cut(left: torch.Tensor, right: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(out, m) and (m, in) -> (out, rank) and (rank, in) whose product is as near as can be."""
    q_left, r_left = torch.linalg.qr(left)
    q_right, r_right = torch.linalg.qr(right.T)
    u, s, v = torch.linalg.svd(r_left @ r_right.T)
    root = s[:rank].sqrt()
    return (q_left @ u[:, :rank]) * root, (root[:, None] * v[:rank]) @ q_right.T
