"""Checkpoints of true shapes with random weights, and prompts for them, for benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    MistralConfig,
    Qwen2Config,
    SiglipVisionConfig,
)

IMAGE, TEXT_TOKENS = 32_000, 548
_BEFORE = 5  # words before the picture
_ACROSS = {"llava_next": 2, "llava_onevision": 1}  # tiles, in a picture's width and height
_CLASSES = {
    "llava": (LlavaConfig, LlavaForConditionalGeneration, LlamaConfig),
    "next": (LlavaNextConfig, LlavaNextForConditionalGeneration, MistralConfig),
    "onevision": (LlavaOnevisionConfig, LlavaOnevisionForConditionalGeneration, Qwen2Config),
}


@dataclass(frozen=True)
class Shapes:
    """Of a language model and a tower.

    Attributes:
        family: its classes and the form of its pictures.
        width, inner, heads, keys, layers, words: of the language model.
        tower: the tower's width, inner width, heads and layers.
        side: pixels of a tile.
    """

    family: str
    width: int
    inner: int
    heads: int
    keys: int
    layers: int
    words: int = 32_064
    tower: tuple[int, int, int, int] = (1024, 4096, 16, 24)
    side: int = 336


SHAPES = {
    "llava-1.5-7b": Shapes("llava", 4096, 11008, 32, 32, 32),
    "llava-1.5-13b": Shapes("llava", 5120, 13824, 40, 40, 40),
    "llava-v1.6-mistral-7b": Shapes("next", 4096, 14336, 32, 8, 32),
    "llava-onevision-7b": Shapes(
        "onevision", 3584, 18944, 28, 4, 28, 152_000, (1152, 4304, 16, 26), 384
    ),
    "llava-1b": Shapes("llava", 2048, 5632, 16, 16, 16),
    "tiny": Shapes("llava", 256, 512, 4, 4, 4, tower=(64, 256, 1, 3)),
    "tiny-next": Shapes("next", 256, 512, 4, 2, 2, tower=(64, 256, 1, 3)),
    "tiny-onevision": Shapes("onevision", 256, 512, 4, 2, 2, 152_000, (64, 256, 1, 3), 384),
}


def checkpoint(shapes: str, folder: Path) -> Path:
    """Write random weights of an architecture, float16."""
    asked = SHAPES[shapes]
    config_of, model_of, words_of = _CLASSES[asked.family]
    text = words_of(
        vocab_size=asked.words,
        hidden_size=asked.width,
        intermediate_size=asked.inner,
        num_hidden_layers=asked.layers,
        num_attention_heads=asked.heads,
        num_key_value_heads=asked.keys,
        max_position_embeddings=4096,
    )
    # Mistral's own default is a window; LLaVA-1.6's has none
    text.sliding_window = None
    config = config_of(vision_config=_tower(asked), text_config=text, image_token_index=IMAGE)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.set_default_dtype(torch.float16)
        model: Any = model_of(config)
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    return folder


def _tower(asked: Shapes) -> Any:
    width, inner, heads, layers = asked.tower
    sizes = {
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": asked.side,
        "patch_size": 14,
    }
    if asked.family == "onevision":
        return SiglipVisionConfig(**sizes, vision_use_head=False)
    return CLIPVisionConfig(**sizes)


def prompt(model: Any) -> dict[str, torch.Tensor]:
    """One picture and some text: noise."""
    shown, tokens = _picture(model), _tokens(model.config)
    ids = torch.randint(3, 31_000, (1, tokens + TEXT_TOKENS), device=model.device)
    ids[0, _BEFORE : _BEFORE + tokens] = IMAGE
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **shown}


def behind(inputs: dict[str, torch.Tensor]) -> int:
    """Where the words after a prompt's picture begin."""
    return int((inputs["input_ids"][0] == IMAGE).nonzero().max()) + 1


def _tokens(config: Any) -> int:
    """Of a square picture: the whole, then its tiles with a word at the end of each line."""
    side = config.vision_config.image_size // config.vision_config.patch_size
    lines = side * _ACROSS.get(config.model_type, 0)
    return int(side**2 + lines * (lines + 1))


def _picture(model: Any) -> dict[str, torch.Tensor]:
    """Pixels (1, 3, side, side), or (1, tiles + 1, 3, side, side) and the size of the whole."""
    side, kind = model.config.vision_config.image_size, model.config.model_type
    across = _ACROSS.get(kind)
    tiles = () if across is None else (across**2 + 1,)
    pixels = torch.randn(1, *tiles, 3, side, side, device=model.device, dtype=model.dtype)
    sizes = torch.tensor([[side * (across or 1)] * 2], device=model.device)
    return {"pixel_values": pixels} | ({} if across is None else {"image_sizes": sizes})
