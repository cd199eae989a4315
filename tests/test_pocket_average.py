"""The weights between two rounds of training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ragvis.errors import UsageError
from scripts.pocket.average import average
from scripts.pocket.stages import CONNECTOR, LORA, LORA_FILE


def _round(folder: Path, seed: int, rank: int = 2) -> Path:
    """Weights as a stage 2 writes them."""
    torch.manual_seed(seed)
    (folder / LORA).mkdir(parents=True)
    (folder / LORA / "adapter_config.json").write_text("{}")
    parts = {"m.lora_A.weight": torch.randn(rank, 6), "m.lora_B.weight": torch.randn(5, rank)}
    save_file({k: v.half() for k, v in parts.items()}, folder / LORA / LORA_FILE)
    save_file({"linear": torch.randn(3, 3).half()}, folder / CONNECTOR)
    return folder


def _added(folder: Path) -> torch.Tensor:
    """What the LoRA adds to its layer."""
    held = load_file(folder / LORA / LORA_FILE)
    return held["m.lora_B.weight"].float() @ held["m.lora_A.weight"].float()


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_between_two_rounds_lies_what_they_add(tmp_path: Path, share: float) -> None:
    one, other = _round(tmp_path / "one", 1), _round(tmp_path / "other", 2)
    average(one, other, share, tmp_path / "out")
    wanted = torch.lerp(_added(one), _added(other), share)
    u, s, v = torch.linalg.svd(wanted)
    nearest = u[:, :2] * s[:2] @ v[:2]  # of the rank that there is room for
    assert torch.allclose(_added(tmp_path / "out"), nearest, atol=2e-2)
    linear = [load_file(f / CONNECTOR)["linear"].float() for f in (one, other, tmp_path / "out")]
    assert torch.allclose(torch.lerp(*linear[:2], share), linear[2], atol=2e-3)


def test_rounds_of_different_models_have_nothing_between_them(tmp_path: Path) -> None:
    one, other = _round(tmp_path / "one", 1), _round(tmp_path / "other", 2, rank=3)
    with pytest.raises(UsageError, match="not of one shape"):
        average(one, other, 0.5, tmp_path / "out")
    with pytest.raises(UsageError, match="no weights"):
        average(one, tmp_path / "nowhere", 0.5, tmp_path / "out")
    with pytest.raises(UsageError, match="there already"):
        average(one, one, 0.5, other)
