"""One image tower for two models that were given the same one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ragvis.models.clip_layout import bare, to_transformers

if TYPE_CHECKING:
    from torch import nn


@torch.no_grad()
def share(tower: nn.Module, visual: nn.Module | None) -> int:
    """Let a transformers CLIP tower read what an open_clip one holds, wherever both hold the same.

    LLaVA-1.5's tower is CLIP's own, ViT-L-14-336 of OpenAI, left as it was; so is pocket's. Each
    runs its own code still, with its own preprocessing.

    Args:
        tower: transformers' CLIPVisionModel; another kind shares nothing.
        visual: open_clip's VisionTransformer, or None.

    Returns:
        Bytes that are now held once.
    """
    if visual is None:
        return 0
    layers = len(getattr(getattr(visual, "transformer", None), "resblocks", ()))
    theirs = to_transformers(dict(visual.named_parameters()), layers)
    saved = 0
    for name, own in tower.named_parameters():
        other = theirs.get(bare(name))
        if other is not None and _is_same(own, other):
            own.data = other.data
            saved += own.numel() * own.element_size()
    return saved


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    alike = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
    return alike and one.data_ptr() != other.data_ptr() and torch.equal(one, other)
