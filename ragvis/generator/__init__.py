"""LLaVA-family checkpoints that answer a prompt with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragvis.generator.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragvis.generator.llava import LlavaGenerator

__all__ = ["Sampling", "load"]


def load(
    name: str,
    tell: Callable[[str], None],
    *,
    lora: str | None = None,
    quantize: str | None = None,
    template: str | None = None,
    engine: str | None = None,
) -> LlavaGenerator:
    """Load a model: ``pocket``, a known name, a hub id, or a checkpoint folder.

    Args:
        name: which model.
        tell: takes one-line notices.
        lora: a peft adapter folder, merged after loading.
        quantize: "8bit", "4bit" or "none"; None means 8bit on a CUDA GPU and none elsewhere.
        template: conversation template; None finds the family's own.
        engine: what runs 8-bit weights: "int8" (ours) or "bitsandbytes"; None means int8 on CUDA
            and bitsandbytes elsewhere.

    Raises:
        ModelUnavailable: its weights are not here and cannot be had.
        ModelError: they cannot be loaded on this machine.
        UsageError: no such name, quantization or template.
    """
    from ragvis.generator.llava import LlavaGenerator

    return LlavaGenerator.load(
        name, tell, lora=lora, quantize=quantize, template=template, engine=engine
    )
