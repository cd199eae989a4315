"""Pictures and prompts into tensors, exactly as each family was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import (
    AutoTokenizer,
    LlavaNextProcessor,
    LlavaOnevisionProcessor,
    LlavaProcessor,
)
from transformers.models.clip import CLIPImageProcessorPil
from transformers.models.llava import LlavaImageProcessorPil
from transformers.models.llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision import (
    LlavaOnevisionImageProcessorPil,
    LlavaOnevisionVideoProcessor,
)
from transformers.models.siglip import SiglipImageProcessorPil

Size = tuple[int, int]  # width, height


def build(folder: str, config: Any) -> Any:
    """The processor of a checkpoint.

    The image processors are the PIL ones: the models were trained on PIL's resampling. LLaVA-1.5
    pads to a square with the mean colour first (official ``expand2square``), which the hub's
    CLIP processors do not do, even when told to.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vision = config.vision_config
    has_class_token = vision.model_type.startswith("clip")
    kwargs = {"vision_feature_select_strategy": config.vision_feature_select_strategy}
    if config.model_type == "llava_onevision":
        return LlavaOnevisionProcessor(
            LlavaOnevisionImageProcessorPil.from_pretrained(folder),
            tokenizer,
            LlavaOnevisionVideoProcessor(),  # it insists on one; we show no videos
            num_image_tokens=(vision.image_size // vision.patch_size) ** 2,
            vision_aspect_ratio=config.vision_aspect_ratio,
            **kwargs,
        )
    kwargs |= {
        "patch_size": vision.patch_size,
        "num_additional_image_tokens": int(has_class_token),
    }
    if config.model_type == "llava_next":
        return LlavaNextProcessor(
            LlavaNextImageProcessorPil.from_pretrained(folder), tokenizer, **kwargs
        )
    return LlavaProcessor(_single_picture(folder, config, has_class_token), tokenizer, **kwargs)


def _single_picture(folder: str, config: Any, clip: bool) -> Any:
    if not clip:
        return SiglipImageProcessorPil.from_pretrained(folder)
    if getattr(config, "ragvis_template", None) == "pocket":
        return CLIPImageProcessorPil.from_pretrained(folder)
    side = config.vision_config.image_size
    return LlavaImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_pad=True
    )


def picture_tokens(processor: Any, sizes: Sequence[Size]) -> int:
    """Tokens that pictures of these sizes become together in one prompt."""
    if not sizes:
        return 0
    if isinstance(processor, LlavaOnevisionProcessor) and len(sizes) > 1:
        # several pictures: each one whole, without tiles, and one newline token
        less = processor.vision_feature_select_strategy == "default"
        return len(sizes) * int(processor.num_image_tokens + 1 - less)
    if isinstance(processor, LlavaProcessor):
        return len(sizes) * _tokens_of_a_square(processor)
    counted = processor._get_num_multimodal_tokens(image_sizes=[(h, w) for w, h in sizes])
    return int(sum(counted["num_image_tokens"]))


def _tokens_of_a_square(processor: Any) -> int:
    """Every picture becomes one square of the tower's size, whatever its own."""
    images = processor.image_processor
    side = images.crop_size if getattr(images, "do_center_crop", False) else images.size
    patches = (side["height"] // processor.patch_size) * (side["width"] // processor.patch_size)
    less = processor.vision_feature_select_strategy == "default"
    return int(patches + processor.num_additional_image_tokens - less)


def tensors(processor: Any, prompt: str, pictures: Sequence[Any], add_special: bool) -> Any:
    """``input_ids`` with every ``<image>`` widened, and ``pixel_values``, for one prompt."""
    images: Any = list(pictures) or None
    if images and isinstance(processor, LlavaOnevisionProcessor):
        images = [images]  # one list a prompt: that is how it tells several from one
    return processor(
        text=[prompt], images=images, return_tensors="pt", add_special_tokens=add_special
    )
