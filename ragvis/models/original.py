"""Checkpoints in the layout of the original LLaVA code, written anew in transformers' own.

``liuhaotian/llava-v1.5-7b``, LLaVA-Med and their kin keep the language model's names, put the
connector beside its layers and only name the vision tower. The names are those of
``llava/model/llava_arch.py`` (haotian-liu/LLaVA, commit c121f043).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ragvis._lazy import require
from ragvis._quiet import quiet
from ragvis.errors import ModelError, RagvisError, UsageError
from ragvis.models import hub

_TEXT = {"LlavaLlamaForCausalLM": "LlamaConfig", "LlavaMistralForCausalLM": "MistralConfig"}
_TEXT_KEYS = (
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
    "head_dim max_position_embeddings rms_norm_eps rope_theta rope_scaling sliding_window "
    "attention_dropout tie_word_embeddings bos_token_id eos_token_id hidden_act vocab_size"
).split()
_FEATURES = {"patch": "default", "cls_patch": "full"}
_CONNECTOR = {"0": "linear_1", "2": "linear_2"}
_UNUSED = ("rotary_emb.inv_freq", "position_ids")  # computed, not learned


def is_original(config: dict[str, Any]) -> bool:
    """Whether a checkpoint's ``config.json`` is of the original code."""
    return "mm_vision_tower" in config


def refuse(name: str) -> ModelError:
    """What to say of one that was asked to answer."""
    folder = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return ModelError(
        f"{name} is in the layout of the original LLaVA code",
        f"Convert it once: ragvis models convert {name} {folder}-hf; then: -m {folder}-hf",
    )


def convert(source: str, target: Path, tower: str | None = None) -> None:
    """Write a checkpoint anew, so that it loads like any other.

    Args:
        source: its folder or hub id.
        target: a folder that does not exist yet; it appears whole or not at all.
        tower: folder or hub id of its vision tower, where not the one that it names.

    Raises:
        UsageError: the target exists.
        ModelError: another layout, a part that transformers has no LLaVA for, or a broken file.
        ModelUnavailable: the checkpoint or its tower is not here and cannot be had.
    """
    if target.exists() or not target.absolute().parent.is_dir():
        what = "exists" if target.exists() else "lies in no folder"
        raise UsageError(f"{target} {what}", "Name a new folder in one that exists.")
    hub.obey_offline()
    part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.absolute().parent))
    try:
        with quiet():
            _convert(_folder_of(source), part, tower)
        os.replace(part, target)
    except RagvisError:
        raise
    # transformers, safetensors, torch and the hub each have errors of their own
    except Exception as error:
        raise hub.explain("model", source, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _folder_of(source: str) -> Path:
    if Path(source).is_dir():
        return Path(source)
    if source.count("/") != 1 or source.startswith((".", "/", "~")):
        raise UsageError(f"no folder {source}", "Give a checkpoint's folder or hub id.")
    wanted = ["*.json", "*.safetensors", "*.bin", "*.model"]
    hub_client = require("huggingface_hub")
    return Path(hub_client.snapshot_download(source, allow_patterns=wanted))


def _convert(source: Path, target: Path, tower_name: str | None) -> None:
    transformers = require("transformers")
    old = json.loads((source / "config.json").read_text("utf-8"))
    _check(source, old)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tower = transformers.CLIPVisionModel.from_pretrained(tower_name or old["mm_vision_tower"])
    config = _config(old, tower.config, tokenizer)
    model = _model(config)
    state = dict(_renamed(_tensors(source), tower.state_dict()))
    rows = _with_image_rows(state, config.text_config.vocab_size)
    model.load_state_dict(rows, assign=True)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    if config.model_type == "llava_next":
        _tiles(config).save_pretrained(target)


def _check(source: Path, old: dict[str, Any]) -> None:
    """Raises:
    ModelError: what cannot be converted.
    """
    if not is_original(old):
        raise ModelError(f"{source} is not in the original layout", f"Use it as it is: -m {source}")
    if (source / "non_lora_trainables.bin").exists():
        hint = "Merge it first with the original code's scripts/merge_lora_weights.py."
        raise ModelError(f"{source} is a LoRA in the original layout", hint)
    kind = (old.get("architectures") or ["?"])[0]
    connector = old.get("mm_projector_type", "linear")
    if kind not in _TEXT or connector != "mlp2x_gelu" or old.get("mm_use_im_start_end"):
        hint = "Look for a twin of it under llava-hf/ on the model hub."
        said = f"{kind} with a connector of type {connector}"
        raise ModelError(f"transformers has no LLaVA for {source}: {said}", hint)


def _config(old: dict[str, Any], vision: Any, tokenizer: Any) -> Any:
    transformers = require("transformers")
    kept = {k: old[k] for k in _TEXT_KEYS if old.get(k) is not None}
    text = getattr(transformers, _TEXT[old["architectures"][0]])
    given = {
        "text_config": text(**{**kept, "vocab_size": max(len(tokenizer), kept["vocab_size"])}),
        "vision_config": vision,
        "image_token_index": tokenizer.convert_tokens_to_ids("<image>"),
        "vision_feature_layer": old.get("mm_vision_select_layer", -2),
        "vision_feature_select_strategy": _FEATURES[old.get("mm_vision_select_feature", "patch")],
        "projector_hidden_act": "gelu",
    }
    if old.get("image_aspect_ratio") == "anyres":
        points = old["image_grid_pinpoints"]
        return transformers.LlavaNextConfig(**given, image_grid_pinpoints=points)
    return transformers.LlavaConfig(**given)


def _model(config: Any) -> Any:
    """Without weights: those of the checkpoint take their place."""
    transformers, torch = require("transformers"), require("torch")
    next_ = config.model_type == "llava_next"
    name = "LlavaNextForConditionalGeneration" if next_ else "LlavaForConditionalGeneration"
    with torch.device("meta"):
        return getattr(transformers, name)(config)


def _tensors(source: Path) -> Iterator[tuple[str, Any]]:
    """Every tensor of the checkpoint, by its original name."""
    load_file = require("safetensors.torch").load_file
    torch = require("torch")
    safe = sorted(source.glob("*.safetensors"))
    for file in safe or sorted(source.glob("pytorch_model*.bin")):
        held = load_file(file) if safe else torch.load(file, "cpu", weights_only=True)
        yield from held.items()


def _renamed(
    tensors: Iterator[tuple[str, Any]], tower: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """The tower's tensors first, then the checkpoint's own, which may hold a better tower."""
    for name, tensor in tower.items():
        if not name.endswith(_UNUSED):
            yield f"model.vision_tower.{name}", tensor
    for name, tensor in tensors:
        if not name.endswith(_UNUSED):
            yield new_name(name, tower), tensor


def new_name(name: str, tower: Collection[str]) -> str:
    """What transformers calls a tensor of the original code.

    Args:
        name: its original name.
        tower: names of the vision tower's tensors, as transformers' tower alone has them.
    """
    own = name.removeprefix("model.")
    if own.startswith("vision_tower.vision_tower."):
        part = own.removeprefix("vision_tower.vision_tower.")
        return f"model.vision_tower.{part if part in tower else part.removeprefix('vision_model.')}"
    if own.startswith("mm_projector."):
        _, layer, kind = own.split(".")
        return f"model.multi_modal_projector.{_CONNECTOR.get(layer, layer)}.{kind}"
    if own in ("lm_head.weight", "image_newline"):
        return name
    return f"model.language_model.{own}"


def _with_image_rows(state: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    """Rows for the image token, which is never read or written: pictures take its place."""
    torch = require("torch")
    for name in ("model.language_model.embed_tokens.weight", "lm_head.weight"):
        rows = state[name]
        more = rows.new_zeros((vocabulary - len(rows), rows.shape[1]))
        state[name] = torch.cat([rows, more])
    return state


def _tiles(config: Any) -> Any:
    side = config.vision_config.image_size
    processor = require("transformers.models.llava_next").LlavaNextImageProcessorPil
    return processor(
        size={"shortest_edge": side},
        crop_size={"height": side, "width": side},
        image_grid_pinpoints=config.image_grid_pinpoints,
    )
