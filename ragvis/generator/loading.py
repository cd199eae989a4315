"""A checkpoint's weights into memory, as they were asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    BitsAndBytesConfig,
    PreTrainedConfig,
)

from ragvis._lazy import uncollected
from ragvis.errors import UsageError
from ragvis.generator import int8, lora, processors
from ragvis.generator.choice import split_lora
from ragvis.generator.int8_cache import Int8Cache
from ragvis.generator.int8_launch import can_compile
from ragvis.models import hub, original, registry
from ragvis.types import Tell, silent

QUANTIZATIONS = ("8bit", "4bit", "none")
INT8, BITSANDBYTES = ENGINES = ("int8", "bitsandbytes")
# bitsandbytes would quantize the tower and the connector too; the official code keeps them.
# Naming any module replaces the default list, so lm_head is named again.
KEPT_WHOLE = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a model's name stands for, before its weights are read."""

    name: str  # without the LoRA's
    where: str  # folder or hub id
    lora: str | None
    config: Any
    processor: Any

    @property
    def revision(self) -> str:
        """Other weights have another one."""
        own = getattr(self.config, "_commit_hash", None) or hub.revision_of(Path(self.where))
        return own + (f"+{hub.revision_of(Path(self.lora))}" if self.lora else "")


@uncollected()  # configurations and tokenizers import what they are of
def find(name: str, tell: Tell, lora: str | None = None) -> Checkpoint:
    """Raises:
    ModelUnavailable, ModelError: it is not here and cannot be had, or is none of ours.
    UsageError: two LoRA folders, or one that is none.
    """
    base, lora = split_lora(name, lora)
    where = registry.resolve_model(base, tell)
    hub.obey_offline()
    with hub.explained("model", base):
        if original.is_original(PreTrainedConfig.get_config_dict(where)[0]):
            raise original.refuse(base)
        config = AutoConfig.from_pretrained(where)
        return Checkpoint(base, where, lora, config, processors.build(where, config))


def check_quantization(quantize: str | None, name: str) -> str:
    if quantize is None:
        return "none" if torch.cuda.is_available() and name == registry.POCKET else "8bit"
    if quantize not in QUANTIZATIONS:
        known = ", ".join(QUANTIZATIONS)
        raise UsageError(f"unknown quantization {quantize!r}", f"One of: {known}.")
    return quantize


def check_engine(engine: str | None, quantization: str) -> str:
    """What runs the weights: 8-bit ones have two engines, all others one. Ours needs a CPU, or a
    GPU that its kernels can be compiled for."""
    if quantization != "8bit":
        if engine is not None:
            raise UsageError("engine is for --quantize 8bit", f"One of: {', '.join(ENGINES)}.")
        return BITSANDBYTES if quantization == "4bit" else "transformers"
    if engine not in (None, *ENGINES):
        raise UsageError(f"unknown engine {engine!r}", f"One of: {', '.join(ENGINES)}.")
    return engine or (INT8 if can_compile() or not torch.cuda.is_available() else BITSANDBYTES)


def load_model(checkpoint: Checkpoint, quantization: str, engine: str, tell: Tell = silent) -> Any:
    """The model on this machine's device, ready to answer."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if engine == INT8:
        return _int8_model(checkpoint, device, tell)
    return _whole_model(checkpoint, device, _dtype(device), quantization, engine).eval()


def _int8_model(checkpoint: Checkpoint, device: torch.device, tell: Tell) -> Any:
    """Quantized now, or from the last time."""
    cache = Int8Cache(checkpoint, _dtype(device), KEPT_WHOLE, tell)
    model = cache.load(device)
    if model is None:
        whole = _whole_model(checkpoint, torch.device("cpu"), _read_as(checkpoint, device))
        model = int8.quantize(whole, KEPT_WHOLE, device).eval()
        if device.type == "cpu":
            model = model.float()  # what is kept whole; int8 rows and their scales stay
        cache.save(model)
    return model


def _read_as(checkpoint: Checkpoint, device: torch.device) -> torch.dtype:
    """On a CPU as its config says that it is stored: a 7B model in float32 is 28 GB, and the int8
    rows of its 16-bit numbers are the same. A LoRA is merged in float32 there."""
    if device.type != "cpu" or checkpoint.lora is not None:
        return _dtype(device)
    whole, text = checkpoint.config, checkpoint.config.get_text_config()
    said = (getattr(one, "dtype", None) for one in (whole, text))
    return next((one for one in said if isinstance(one, torch.dtype)), _dtype(device))


def _dtype(device: torch.device) -> torch.dtype:
    return torch.float16 if device.type == "cuda" else torch.float32


def _whole_model(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    quantization: str = "none",
    engine: str = "transformers",
) -> Any:
    """As transformers reads it, with its LoRA."""
    options: dict[str, Any] = {
        "config": checkpoint.config,
        "dtype": dtype,
        "device_map": {"": device},
    }
    if engine == BITSANDBYTES:
        # On a CPU it logs a line for every layer and step
        logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
        options["quantization_config"] = _bitsandbytes(quantization, options["dtype"])
    model = AutoModelForImageTextToText.from_pretrained(checkpoint.where, **options)
    if checkpoint.lora is not None:
        with hub.explained("LoRA", checkpoint.lora):
            model = lora.merged(model, checkpoint.lora)
    return model


def _bitsandbytes(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=KEPT_WHOLE)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=KEPT_WHOLE,
    )


def special_tokens(tokenizer: Any) -> list[str]:
    return sorted({str(t.content) for t in tokenizer.added_tokens_decoder.values()})
