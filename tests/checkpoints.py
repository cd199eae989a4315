"""Checkpoints of the true architectures, written to disk with tiny random weights.

Their words are noise. What they prove is that loading, preprocessing, prompts, token counts,
quantization and streaming fit each architecture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
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
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision import LlavaOnevisionImageProcessorPil

from scripts.pocket.smoke import byte_tokenizer

CORPUS = [
    "A chat between a curious user and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
    "Answer the question using only the numbered sources. USER: ASSISTANT: Question: [1] text:",
]
SIZES = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
WORDS = {**SIZES, "num_hidden_layers": 2, "num_key_value_heads": 2, "max_position_embeddings": 4096}


def _llama_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    wrapped.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return wrapped


def _qwen_tokenizer() -> PreTrainedTokenizerFast:
    wrapped = byte_tokenizer(CORPUS, 500)
    wrapped.add_special_tokens({"additional_special_tokens": ["<image>", "<video>"]})
    return wrapped


def _clip_tower() -> CLIPVisionConfig:
    return CLIPVisionConfig(**SIZES, num_hidden_layers=3, image_size=336, patch_size=14)


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _ids(tokenizer: Any) -> dict[str, int]:
    return {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id or 0,
    }


def llava_1_5(folder: Path) -> Path:
    """CLIP tower at 336 px, MLP connector, Llama."""
    torch.manual_seed(0)
    tokenizer = _llama_tokenizer()
    config = LlavaConfig(
        vision_config=_clip_tower(),
        text_config=LlamaConfig(**WORDS, **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return _save(LlavaForConditionalGeneration(config), tokenizer, folder)


def llava_next_mistral(folder: Path) -> Path:
    """LLaVA-1.6: tiles, Mistral."""
    torch.manual_seed(0)
    tokenizer = _llama_tokenizer()
    config = LlavaNextConfig(
        vision_config=_clip_tower(),
        text_config=MistralConfig(**WORDS, **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_grid_pinpoints=[[336, 672], [672, 336], [672, 672]],
    )
    LlavaNextImageProcessorPil(
        size={"shortest_edge": 336},
        crop_size={"height": 336, "width": 336},
        image_grid_pinpoints=config.image_grid_pinpoints,
    ).save_pretrained(folder)
    return _save(LlavaNextForConditionalGeneration(config), tokenizer, folder)


def onevision(folder: Path) -> Path:
    """SigLIP tower, tiles, Qwen2."""
    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    pinpoints = [[98, 98], [98, 196], [196, 98], [196, 196]]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(
            **SIZES,
            num_hidden_layers=3,
            image_size=98,
            patch_size=14,
            vision_use_head=False,
        ),
        text_config=Qwen2Config(**WORDS, **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    LlavaOnevisionImageProcessorPil(
        size={"height": 98, "width": 98}, image_grid_pinpoints=pinpoints
    ).save_pretrained(folder)
    return _save(LlavaOnevisionForConditionalGeneration(config), tokenizer, folder)


def interleave(folder: Path) -> Path:
    """LLaVA-Interleave: SigLIP tower without tiles, Qwen2."""
    from transformers.models.siglip import SiglipImageProcessorPil

    torch.manual_seed(0)
    tokenizer = _qwen_tokenizer()
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(
            **SIZES, num_hidden_layers=3, image_size=98, patch_size=14, vision_use_head=False
        ),
        text_config=Qwen2Config(**WORDS, **_ids(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    SiglipImageProcessorPil(size={"height": 98, "width": 98}).save_pretrained(folder)
    return _save(LlavaForConditionalGeneration(config), tokenizer, folder)


def clip(folder: Path) -> Path:
    """An open_clip model with OpenAI's tokenizer."""
    torch.manual_seed(0)
    model = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    }
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model}))
    built = open_clip.CLIP(**{**model, "quick_gelu": False})
    state = {k: v.contiguous() for k, v in built.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


FAMILIES = {
    "llava_1_5": llava_1_5,
    "llava_next_mistral": llava_next_mistral,
    "onevision": onevision,
    "interleave": interleave,
}
