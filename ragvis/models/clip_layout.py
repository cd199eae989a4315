"""The one CLIP image tower under the two names that its parts have: open_clip's, transformers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

# What transformers calls the parts -> what open_clip calls them.
_ENDS = {
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.weight": "ln_pre.weight",
    "pre_layrnorm.bias": "ln_pre.bias",
    "post_layernorm.weight": "ln_post.weight",
    "post_layernorm.bias": "ln_post.bias",
}
_LAYER_PARTS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_PREFIX = "vision_model."  # transformers' names have it, or not, by version and class


def to_open_clip(tower: State, layers: int) -> State:
    """A CLIPVisionModelWithProjection's parts under open_clip's names; ``proj`` is transposed."""
    import torch

    theirs = {name.removeprefix(_PREFIX): part for name, part in tower.items()}
    state = {ours: theirs[name] for name, ours in _names(layers).items()}
    state["proj"] = theirs["visual_projection.weight"].T
    for i, end in _attentions(layers):
        qkv = [theirs[f"encoder.layers.{i}.self_attn.{p}_proj.{end}"] for p in "qkv"]
        state[f"transformer.resblocks.{i}.attn.in_proj_{end}"] = torch.cat(qkv)
    return state


def to_transformers(visual: State, layers: int) -> State:
    """An open_clip tower's parts under transformers' names, without their prefix and the
    projection: views, not copies. Parts that it lacks are left out."""
    state = {name: visual[ours] for name, ours in _names(layers).items() if ours in visual}
    for i, end in _attentions(layers):
        joined = visual.get(f"transformer.resblocks.{i}.attn.in_proj_{end}")
        if joined is not None:
            for p, part in zip("qkv", joined.chunk(3), strict=True):
                state[f"encoder.layers.{i}.self_attn.{p}_proj.{end}"] = part
    return state


def bare(name: str) -> str:
    """A part's name in transformers, whatever its version."""
    return name.removeprefix(_PREFIX)


def _names(layers: int) -> dict[str, str]:
    """Transformers' name -> open_clip's, of all parts that both have as they are."""
    inner = {
        f"encoder.layers.{i}.{theirs}.{end}": f"transformer.resblocks.{i}.{ours}.{end}"
        for i in range(layers)
        for theirs, ours in _LAYER_PARTS.items()
        for end in ("weight", "bias")
    }
    return _ENDS | inner


def _attentions(layers: int) -> list[tuple[int, str]]:
    """Where open_clip holds queries, keys and values as one."""
    return [(i, end) for i in range(layers) for end in ("weight", "bias")]
