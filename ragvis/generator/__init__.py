"""LLaVA-family checkpoints that answer a prompt with pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragvis._lazy import uncollected
from ragvis.config import SERVER
from ragvis.errors import UsageError
from ragvis.generator.sampling import Sampling
from ragvis.types import Tell

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator
    from ragvis.generator.remote import RemoteGenerator

__all__ = ["Sampling", "load"]


def load(
    name: str,
    tell: Tell,
    *,
    lora: str | None = None,
    quantize: str | None = None,
    template: str | None = None,
    engine: str | None = None,
) -> Generator:
    """Load a model: ``pocket``, a known name, a hub id, or a checkpoint folder.

    Any of them with a LoRA folder is written ``base+lora``; a model behind an OpenAI-compatible
    server ``openai:http://host/v1#model``.

    Args:
        name: which model.
        tell: takes one-line notices.
        lora: a peft adapter folder, merged after loading.
        quantize: "8bit", "4bit" or "none"; None means 8bit, and none for pocket
            on a CUDA GPU.
        template: conversation template; None finds the family's own.
        engine: what runs 8-bit weights: "int8" (ours, the default) or "bitsandbytes".

    Raises:
        ModelUnavailable: its weights are not here and cannot be had; no such server.
        ModelError: they cannot be loaded on this machine.
        UsageError: no such name, quantization or template.
    """
    if name.startswith(SERVER):
        chosen = {"lora": lora, "quantize": quantize, "template": template, "engine": engine}
        return _remote(name, tell, chosen)
    with uncollected():
        from ragvis.generator.llava import LlavaGenerator

    return LlavaGenerator.load(
        name, tell, lora=lora, quantize=quantize, template=template, engine=engine
    )


def _remote(name: str, tell: Tell, chosen: dict[str, str | None]) -> RemoteGenerator:
    for option, value in chosen.items():
        if option == "quantize" and value is not None:  # set for all models, as like as not
            tell("quantize is left out: the server has its own weights")
        elif value is not None:
            raise UsageError(f"{option} is for models on this machine", "Set it on the server.")
    from ragvis.generator.remote import RemoteGenerator

    return RemoteGenerator.load(name, tell)
