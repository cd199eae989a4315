"""Which conversation template, processor and limits a LLaVA-family checkpoint was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ragvis.errors import ModelError

MODEL_TYPES = ("llava", "llava_next", "llava_onevision")
_LONGEST = 16_384  # tokens; more prompt than that is more than a GPU card's memory likes


@dataclass(frozen=True, slots=True)
class Family:
    """How to talk to a checkpoint."""

    template: str
    pixels: int  # retrieved pictures it can be shown at once
    context_limit: int  # tokens
    # Pocket was trained on single turns, and is asked a follow-up together with the question that
    # it leans on (scripts/eval_followups.py).
    earlier_turns: bool = True
    # Pocket learned to say that it does not know where there are numbered sources, and only there.
    refuses_bare: bool = True
    # Pocket is asked about a photo's thing by its name: it seldom finds that in the photo's label.
    links: bool = True
    # Pocket would rather refuse where it is shown a source alone that does not answer.
    doubts: bool = False


def family_of(config: Any, name: str, tokens: frozenset[str]) -> Family:
    """Find the family from the checkpoint's own configuration.

    Args:
        config: transformers configuration of the whole model.
        name: as asked for; hub names tell apart what configurations do not.
        tokens: special tokens of its tokenizer.

    Raises:
        ModelError: not a LLaVA that transformers loads.
    """
    if config.model_type not in MODEL_TYPES:
        raise ModelError(
            f"{name} is a {config.model_type!r} checkpoint, not a LLaVA that transformers loads",
            f"Known kinds: {', '.join(MODEL_TYPES)}; original-layout checkpoints have "
            "`llava-hf/…` twins.",
        )
    template = getattr(config, "ragvis_template", None) or _template(
        config, _last_part(name), tokens
    )
    limit = int(getattr(config.text_config, "max_position_embeddings", 0) or 4096)
    pixels = _pixels(template, config.model_type)
    is_pocket = template == "pocket"
    return Family(
        template,
        pixels,
        min(limit, _LONGEST),
        earlier_turns=not is_pocket,
        refuses_bare=not is_pocket,
        links=not is_pocket,
        doubts=is_pocket,
    )


def _template(config: Any, name: str, tokens: frozenset[str]) -> str:
    language = config.text_config.model_type
    if language.startswith("qwen"):
        return "qwen_1_5"
    if language == "mistral":
        return "mistral_instruct"
    if language == "mpt":
        return "mpt"
    if "<|im_start|>" in tokens:  # Nous-Hermes-Yi, the language model of LLaVA-1.6-34b
        return "chatml_direct"
    if "llama-2" in name or "llama_2" in name:
        return "llava_llama_2"
    if "-v0" in name or "_v0" in name:
        return "v0"
    return "vicuna_v1"


def _last_part(name: str) -> str:
    """Folders above a checkpoint say nothing of it."""
    return name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].lower()


def _pixels(template: str, model_type: str) -> int:
    """Pocket, interleave and OneVision were trained on several pictures; 1.5 and NeXT on one."""
    if template == "pocket":
        return 2
    return 4 if template == "qwen_1_5" or model_type == "llava_onevision" else 1
