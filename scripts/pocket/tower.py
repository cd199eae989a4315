"""The image tower: a small CLIP ViT, trained from nothing into the space of a frozen text encoder.

"Locked-text tuning", the other way about from LiT (Zhai et al., 2022): the texts' vectors stay as
they are, and pictures learn to lie beside those of their captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms import v2
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection
from transformers.image_utils import PILImageResampling

from ragvis import encoder
from ragvis.errors import UsageError
from scripts.pocket import pictures
from scripts.pocket.loop import Plan, train

# OpenAI CLIP's
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
_TEMPERATURE = 0.05  # of captions among one another: how alike two must be to count as one


@dataclass(frozen=True, slots=True)
class Shape:
    """Pocket's tower, 12.7 M parameters, unless told otherwise."""

    width: int = 320
    layers: int = 10
    heads: int = 5
    side: int = 128  # pixels
    patch: int = 16  # pixels

    def config(self, dim: int) -> CLIPVisionConfig:
        """transformers' own, into a space of ``dim``."""
        return CLIPVisionConfig(
            hidden_size=self.width,
            intermediate_size=4 * self.width,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            image_size=self.side,
            patch_size=self.patch,
            projection_dim=dim,
            hidden_act="gelu",
        )


@dataclass(frozen=True, slots=True)
class Captioned:
    """Pictures with their captions: what `pictures.jsonl` lists."""

    files: tuple[Path, ...]
    captions: tuple[str, ...]

    @classmethod
    def read(cls, listed: Path, split: str) -> Captioned:
        """Those of one split.

        Raises:
            UsageError: there are none, or it is no such list.
        """
        own = [row for row in pictures.read(listed) if row.split == split]
        if not own:
            raise UsageError(f"{listed} lists no pictures of the split {split!r}")
        files = tuple(listed.parent / row.image for row in own)
        return cls(files, tuple(row.caption for row in own))

    def pixels(self, side: int) -> torch.Tensor:
        """(n, 3, side, side) uint8, on white."""
        out = torch.empty((len(self.files), 3, side, side), dtype=torch.uint8)
        for row, file in zip(out, self.files, strict=True):
            with Image.open(file) as picture:
                shown = picture.convert("RGBA").resize((side, side), Image.Resampling.BICUBIC)
            page = Image.new("RGBA", shown.size, "white")
            page.alpha_composite(shown)
            row.copy_(torch.from_numpy(np.array(page.convert("RGB"))).permute(2, 0, 1))
        return out


@dataclass(frozen=True, slots=True)
class Trained:
    """The loss of every step, and how well held-out pictures find their captions."""

    losses: list[float]
    recall: dict[str, float]


def train_tower(
    listed: Path, out: Path, text_encoder: str, shape: Shape, plan: Plan, batch: int
) -> Trained:
    """Train a tower on the "train" pictures of a list; write it as transformers does."""
    texts = encoder.load(text_encoder, print)
    known, held = Captioned.read(listed, "train"), Captioned.read(listed, "test")
    names = sorted(set(known.captions))
    vectors = torch.from_numpy(texts.encode_texts(names))  # (m, dim), unit rows
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = CLIPVisionModelWithProjection(shape.config(vectors.shape[1])).to(device)
    lesson = Lesson(model, known.pixels(shape.side), rows_of(known.captions, names), vectors, batch)
    of = f"{listed} {len(known.files)} {text_encoder} {batch}"
    learned = [*model.parameters(), lesson.scale]
    losses = train(learned, lesson.loss, plan, out, of=of)
    _write(model, shape, out)
    return Trained(losses, recall(model.eval(), held, texts, shape.side))


class Lesson:
    """Pictures against all captions at once: the vectors of a few thousand fit beside a batch."""

    def __init__(
        self,
        model: Any,
        pixels: torch.Tensor,
        rows: torch.Tensor,
        vectors: torch.Tensor,
        batch: int,
    ) -> None:
        self._model = model.train()
        self._pixels, self._rows, self._batch = pixels, rows, batch
        self._vectors = vectors.to(model.device)
        self.scale = torch.nn.Parameter(torch.tensor(3.0, device=model.device))  # log of 20
        side = pixels.shape[-1]
        self._augment = v2.Compose(
            [
                v2.RandomAffine(17, (0.15, 0.15), (0.6, 1.1), fill=255),
                v2.RandomResizedCrop(side, (0.6, 1.0), (0.8, 1.25), antialias=True),
                v2.ColorJitter(0.3, 0.3, 0.3, 0.02),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def loss(self, step: int) -> torch.Tensor:
        """Cross-entropy against captions weighed by likeness, and the distance to the own one."""
        chance = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(self._pixels), (self._batch,), generator=chance)
        shown = torch.stack([self._augment(self._pixels[i]) for i in chosen])
        device = self._vectors.device
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            seen = self._model(shown.to(device)).image_embeds
        cosines = F.normalize(seen.float(), dim=-1) @ self._vectors.T  # (b, m)
        own = self._rows[chosen].to(device)
        wanted = 0.25 * likeness(self._vectors, own) + 0.75 * F.one_hot(own, len(self._vectors))
        scale = self.scale.clamp(max=4.1).exp()
        told = -(wanted * (cosines * scale).log_softmax(-1)).sum(-1).mean()
        return told + 2 * (1 - cosines.gather(1, own[:, None])).mean()


@torch.inference_mode()
def recall(model: Any, held: Captioned, texts: Any, side: int) -> dict[str, float]:
    """How many held-out pictures find their caption first, and among the first five."""
    plain = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    seen = [
        model(plain(x).to(model.device)).image_embeds for x in torch.split(held.pixels(side), 256)
    ]
    return found_by(torch.cat(seen).float().cpu(), held, texts)


def found_by(seen: torch.Tensor, held: Captioned, texts: Any) -> dict[str, float]:
    """The same, of pictures' vectors: (n, dim), of any length."""
    names = sorted(set(held.captions))
    vectors = torch.from_numpy(texts.encode_texts(names))
    cosines = F.normalize(seen, dim=-1) @ vectors.T
    ranks = ranks_of(cosines, rows_of(held.captions, names))
    found = {f"recall@{k}": float((ranks < k).float().mean()) for k in (1, 5)}
    return {**found, "pictures": len(held.files), "captions": len(names)}


def ranks_of(cosines: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """How many columns are nearer to each row than its own: (n, m), (n,) -> (n,)."""
    return (cosines > cosines.gather(1, own[:, None])).sum(-1)


def likeness(vectors: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """How much each of m captions would do for those at ``own``: (b, m), rows that add up to 1."""
    return (vectors[own] @ vectors.T / _TEMPERATURE).softmax(-1)


def rows_of(captions: Sequence[str], names: list[str]) -> torch.Tensor:
    """The place of each caption among the names: (n,) int64."""
    place = {name: i for i, name in enumerate(names)}
    return torch.tensor([place[caption] for caption in captions])


def _write(model: Any, shape: Shape, out: Path) -> None:
    model.half().save_pretrained(out / "vision")
    model.float()
    CLIPImageProcessor(
        size={"shortest_edge": shape.side},
        crop_size={"height": shape.side, "width": shape.side},
        resample=PILImageResampling.BICUBIC,
        image_mean=list(MEAN),
        image_std=list(STD),
    ).save_pretrained(out)
