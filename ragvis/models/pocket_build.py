"""Writes pocket's two checkpoints: parts in, ordinary open_clip and transformers folders out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ragvis.errors import ModelError
from ragvis.models.clip_layout import to_open_clip
from ragvis.models.pocket import NETWORK, PHOTOGRAPHS
from ragvis.prompts import POCKET_CHAT_SYSTEM

_TEXT_CONTEXT = 256  # tokens all-MiniLM-L6-v2 was meant to read

# What `conversation.render("pocket", …)` writes, for programs that go by a checkpoint's own
# template; unlike SmolLM2's it takes pictures.
_CHAT_TEMPLATE = """\
{%- for message in messages -%}
{%- if loop.first and message['role'] != 'system' -%}
{{ '<|im_start|>system\\n' + SYSTEM + '<|im_end|>\\n' }}
{%- endif -%}
{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string -%}
{{ message['content'] }}
{%- else -%}
{%- for part in message['content'] -%}
{{ part['text'] if part['type'] == 'text' else '<image>' }}
{%- endfor -%}
{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
""".replace("SYSTEM", repr(POCKET_CHAT_SYSTEM))


def write_encoder(minilm: Path, efficientnet: Path, weights: Path, out: Path) -> None:
    """An open_clip folder: our image tower and MiniLM as its Hugging Face text tower; beside them
    what makes a ``PocketTower`` of the image tower."""
    out.mkdir(parents=True)
    tower = load_file(weights / "vision" / "model.safetensors")
    shape = json.loads((weights / "vision" / "config.json").read_text("utf-8"))
    named = to_open_clip(tower, shape["num_hidden_layers"])
    state = {f"visual.{name}": part.float() for name, part in named.items()}
    text = load_file(minilm / "model.safetensors")
    unused = ("pooler.", "embeddings.position_ids")
    kept = {k: v for k, v in text.items() if not k.startswith(unused)}
    state |= {f"text.transformer.{k}": v.float() for k, v in kept.items()}
    state["logit_scale"] = torch.tensor(100.0).log()  # cosines are not scaled in retrieval
    save_file({k: v.contiguous() for k, v in state.items()}, out / "open_clip_model.safetensors")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(minilm / name, out / name)
    (out / "open_clip_config.json").write_text(json.dumps(_open_clip_config(shape), indent=1))
    _write_photographs(efficientnet, weights, out)


def _write_photographs(efficientnet: Path, weights: Path, out: Path) -> None:
    """timm's network is the same one, part by part, under other names."""
    import timm

    theirs = torch.load(efficientnet, weights_only=True)
    own = timm.create_model(NETWORK).state_dict()
    pairs = list(zip(own, theirs, strict=True))
    if any(_end(a) != _end(b) or own[a].shape != theirs[b].shape for a, b in pairs):
        hint = "Install the timm of scripts/constraints.txt."
        raise ModelError("this timm puts EfficientNet-Lite0 together in another order", hint)
    state = {f"net.{a}": theirs[b].contiguous() for a, b in pairs}
    with safe_open(weights / "photographs" / "model.safetensors", "pt") as head:
        state |= {name: head.get_tensor(name).float() for name in head.keys()}  # noqa: SIM118
        save_file(state, out / PHOTOGRAPHS, head.metadata())


def _end(name: str) -> str:
    return name.rpartition(".")[2]


def _open_clip_config(shape: dict[str, Any]) -> dict[str, Any]:
    vision = {
        "image_size": shape["image_size"],
        "layers": shape["num_hidden_layers"],
        "width": shape["hidden_size"],
        "head_width": shape["hidden_size"] // shape["num_attention_heads"],
        "mlp_ratio": shape["intermediate_size"] / shape["hidden_size"],
        "patch_size": shape["patch_size"],
    }
    text = {
        "context_length": _TEXT_CONTEXT,
        "hf_model_name": ".",
        "hf_tokenizer_name": ".",
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": None,
    }
    model = {"embed_dim": shape["projection_dim"], "vision_cfg": vision, "text_cfg": text}
    return {"model_cfg": model, "preprocess_cfg": {"interpolation": "bicubic"}}


def write_model(gguf: Path, weights: Path, facts: dict[str, Any], out: Path) -> None:
    """A transformers LLaVA folder: the tower, the connector, and SmolLM2 with the LoRA merged."""
    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip import CLIPImageProcessorPil, CLIPVisionConfig

    tokenizer, language = _language_model(gguf, weights / "lora", facts["llava"])
    image_token = facts["llava"]["image_token_id"]
    vision = CLIPVisionConfig.from_pretrained(weights / "vision")
    config = LlavaConfig(
        vision_config=vision,
        text_config=language.config,
        image_token_index=image_token,
        projector_hidden_act="gelu",
        vision_feature_layer=facts["llava"]["vision_feature_layer"],
        vision_feature_select_strategy=facts["llava"]["vision_feature_select_strategy"],
        image_seq_length=facts["llava"]["image_tokens"],
        tie_word_embeddings=True,
        ragvis_template="pocket",
    )
    model = LlavaForConditionalGeneration(config).float().eval()
    _fill(model, language, weights)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = model.generation_config.eos_token_id
    model.save_pretrained(out)
    LlavaProcessor(
        CLIPImageProcessorPil.from_pretrained(weights),
        tokenizer,
        patch_size=vision.patch_size,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_CHAT_TEMPLATE,
    ).save_pretrained(out)


def _language_model(gguf: Path, lora: Path, llava: dict[str, Any]) -> tuple[Any, Any]:
    from peft import PeftModel

    language, tokenizer = read_gguf(gguf)
    tokenizer.add_special_tokens({"additional_special_tokens": [llava["image_token"]]})
    language = PeftModel.from_pretrained(language, str(lora)).merge_and_unload()
    language.resize_token_embeddings(llava["image_token_id"] + 1, mean_resizing=False)
    with torch.no_grad():  # this row is never read: picture features take its place
        language.get_input_embeddings().weight[llava["image_token_id"]] = 0
    language.config.vocab_size = llava["image_token_id"] + 1
    return tokenizer, language


def read_gguf(gguf: Path) -> tuple[Any, Any]:
    """A causal language model in fp32, and its tokenizer, out of a GGUF file."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model, AutoTokenizer.from_pretrained(**source)


def _fill(model: Any, language: Any, weights: Path) -> None:
    tower = load_file(weights / "vision" / "model.safetensors")
    own = set(model.model.vision_tower.state_dict())
    named = {(k if k in own else k.removeprefix("vision_model.")): v for k, v in tower.items()}
    named.pop("visual_projection.weight")
    model.model.vision_tower.load_state_dict(named)
    connector = load_file(weights / "connector.safetensors")
    model.model.multi_modal_projector.load_state_dict(connector)
    model.model.language_model.load_state_dict(language.model.state_dict())
    model.tie_weights()
