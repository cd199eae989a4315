"""Pocket's image tower: a small ViT of ours, and EfficientNet-Lite0, which has seen photographs.

The ViT was trained on drawings and a few photographs, into the texts' space. EfficientNet-Lite0
(Tan and Le, 2019; the Lite form is Google's) was trained on ImageNet. It gets into the same space
twice: by a linear map of its features that was learned from the ViT's pictures, and by ConSE
(Norouzi et al., 2014), the mean of the classes' own texts, each weighed by its probability. That
mean is short where EfficientNet is not sure, as it is with drawings, so the three parts need no
weights.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ragvis.encoder.names import KEY
from ragvis.models.pocket import NETWORK

# Pixels. Photographs are found as well as at EfficientNet's own 224, and a large JPEG can be
# decoded at an eighth of its size: a fifth of the time, together.
SIDE = 192
_CLASSES, _FEATURES = 1000, 1280


class PocketTower(nn.Module):
    """Stands where open_clip has its image tower.

    Args:
        vit: open_clip's VisionTransformer, with its preprocessing.
        dim: width of the space.

    Attributes:
        preprocess_cfg: as open_clip's towers have it; the ViT's smaller picture is made inside.
    """

    classes: torch.Tensor  # (1000, dim), unit rows: what ImageNet's classes are called, as texts
    mean: torch.Tensor  # (3, 1, 1), as ``std``: how the ViT's pixels are normalised
    std: torch.Tensor

    def __init__(self, vit: Any, dim: int) -> None:
        super().__init__()
        self.vit = vit
        self.net = timm.create_model(NETWORK)
        self.head = nn.Linear(_FEATURES, dim)
        self.register_buffer("classes", torch.zeros(_CLASSES, dim))
        own = vit.preprocess_cfg
        self._side = int(vit.image_size[0])
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(own[name]).view(3, 1, 1), persistent=False)
        half = (0.5, 0.5, 0.5)
        self.preprocess_cfg = {**own, "size": (SIDE, SIDE)}
        self.preprocess_cfg |= {"mean": half, "std": half}

    @classmethod
    def load(cls, vit: Any, file: Path) -> PocketTower:
        """The tower of a ViT and what ``file`` holds.

        Raises:
            KeyError, RuntimeError, SafetensorError: the file holds something else.
        """
        state = load_file(file)
        state.pop(KEY)
        tower = cls(vit, state["classes"].shape[1])
        inner = {f"vit.{name}": part for name, part in vit.state_dict().items()}
        tower.load_state_dict(state | inner)
        return tower

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 3, SIDE, SIDE) in -1..1 -> (n, dim), not of unit length."""
        features = features_of(self.net, images)
        conse: torch.Tensor = self.net.classifier(features).softmax(-1) @ self.classes
        own = F.normalize(self.vit(self._smaller(images)), dim=-1)
        return own + F.normalize(self.head(features), dim=-1) + conse

    def _smaller(self, images: torch.Tensor) -> torch.Tensor:
        """As the ViT takes them: (n, 3, side, side)."""
        size = (self._side, self._side)
        small = F.interpolate(images.float(), size, mode="bicubic", antialias=True).clamp_(-1, 1)
        return small.add_(1).div_(2).sub_(self.mean).div_(self.std).to(images.dtype).contiguous()


def features_of(network: Any, images: torch.Tensor) -> torch.Tensor:
    """What EfficientNet makes of (n, 3, SIDE, SIDE) in -1..1: (n, 1280)."""
    seen = network.forward_features(images)
    pooled: torch.Tensor = network.forward_head(seen, pre_logits=True)
    return pooled


def fuse_batch_norms(network: nn.Module) -> None:
    """Fuse batch norms into the convolutions before them, and lay these out as pixels come.

    Half the time on a CPU. A fingerprint is taken before: the fused weights are not the same to
    the last bit on every machine.
    """
    for part in list(network.modules()):
        for (name, conv), (after, norm) in pairwise(list(part.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(part, name, fuse_conv_bn_eval(conv, norm))
                setattr(part, after, norm.act)
    network.to(memory_format=torch.channels_last)
