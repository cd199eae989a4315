"""Checkpoints in the original LLaVA layout: recognised, and converted to the same model.

The originals are made from checkpoints of random weights by undoing the conversion by hand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import FAMILIES
from conftest import run_command_line
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoTokenizer

from ragvis import generator
from ragvis.errors import ModelError, UsageError
from ragvis.generator import Sampling
from ragvis.models.original import convert

LAYERS = {"linear_1": "0", "linear_2": "2"}
PICTURE = Image.linear_gradient("L").convert("RGB").resize((90, 60))
PROMPTS = ["USER: <image>\nWhat is this? ASSISTANT:", "USER: <image>\nAnswer. ASSISTANT: It is"]


def old_name(name: str) -> str:
    name = name.replace("model.vision_tower.", "model.vision_tower.vision_tower.vision_model.")
    for new, old in LAYERS.items():
        name = name.replace(f"model.multi_modal_projector.{new}", f"model.mm_projector.{old}")
    return name.replace("model.language_model.", "model.")


def undo(folder: Path, target: Path, own_tower: bool) -> tuple[Path, Path]:
    """The original layout of a checkpoint, and its tower's folder."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    tower = target.with_name("tower")
    model.model.vision_tower.save_pretrained(tower)
    target.mkdir()
    AutoTokenizer.from_pretrained(folder).save_pretrained(target)
    state = {old_name(k): v.clone() for k, v in model.state_dict().items()}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    if not own_tower:
        state = {k: v for k, v in state.items() if "vision_tower" not in k}
    if own_tower:  # as LLaVA-1.6, which trained its tower too
        save_file(state, target / "model.safetensors")
        wrong = {k: torch.zeros_like(v) for k, v in model.model.vision_tower.state_dict().items()}
        model.model.vision_tower.load_state_dict(wrong)
        model.model.vision_tower.save_pretrained(tower)
    else:
        torch.save(state, target / "pytorch_model-00001-of-00001.bin")
    (target / "config.json").write_text(json.dumps(old_config(model.config, tower)))
    return target, tower


def old_config(config: Any, tower: Path) -> dict[str, Any]:
    text = config.text_config.to_dict()
    kind = {"llama": "LlavaLlamaForCausalLM", "mistral": "LlavaMistralForCausalLM"}
    tiles = getattr(config, "image_grid_pinpoints", None)
    return {
        **text,
        "model_type": f"llava_{text['model_type']}",
        "architectures": [kind[text["model_type"]]],
        "rope_theta": text["rope_parameters"]["rope_theta"],
        "mm_vision_tower": str(tower),
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch",
        "image_aspect_ratio": "anyres" if tiles else "pad",
        **({"image_grid_pinpoints": tiles} if tiles else {}),
    }


@pytest.mark.parametrize("family", ["llava_1_5", "llava_next_mistral"])
def test_a_converted_checkpoint_says_what_it_said(tmp_path: Path, family: str) -> None:
    there = FAMILIES[family](tmp_path / "there")
    old, _ = undo(there, tmp_path / "old", own_tower=family != "llava_1_5")
    with pytest.raises(ModelError, match="original LLaVA code") as caught:
        generator.load(str(old), print)
    assert f"ragvis models convert {old} old-hf" in caught.value.hint
    new = tmp_path / "new"
    result = run_command_line("models", "convert", old, new)
    assert result.exit_code == 0, result.stderr
    before: Any = generator.load(str(there), print)
    after: Any = generator.load(str(new), print)
    assert after.family == before.family
    for prompt in PROMPTS:
        inputs = before.inputs(prompt, [PICTURE])
        with torch.inference_mode():
            told = [model.model(**inputs).logits for model in (before, after)]
        assert torch.equal(*(logits[..., : after.image_token] for logits in told))
        said = [
            "".join(m.stream(prompt, [PICTURE], Sampling(max_new_tokens=8)))
            for m in (before, after)
        ]
        assert said[0] == said[1]


def test_a_tower_named_by_hand(tmp_path: Path) -> None:
    old, tower = undo(FAMILIES["llava_1_5"](tmp_path / "there"), tmp_path / "old", False)
    moved = tower.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError):
        convert(str(old), tmp_path / "new")
    assert not (tmp_path / "new").exists() and not (tmp_path / "new.part").exists()
    convert(str(old), tmp_path / "new", str(moved))
    with pytest.raises(UsageError, match="exists"):
        convert(str(old), tmp_path / "new", str(moved))
    with pytest.raises(ModelError, match="not in the original layout"):
        convert(str(tmp_path / "new"), tmp_path / "again")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mm_projector_type": "linear"}, "type linear"),
        ({"architectures": ["LlavaQwenForCausalLM"]}, "LlavaQwen"),
        ({"mm_use_im_start_end": True}, "no LLaVA for"),
    ],
)
def test_what_cannot_be_converted_is_said(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    old, _ = undo(FAMILIES["llava_1_5"](tmp_path / "there"), tmp_path / "old", False)
    config = json.loads((old / "config.json").read_text())
    (old / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelError, match=said):
        convert(str(old), tmp_path / "new")
    (old / "config.json").write_text(json.dumps(config))
    (old / "non_lora_trainables.bin").touch()
    with pytest.raises(ModelError, match="LoRA in the original layout"):
        convert(str(old), tmp_path / "new")
