"""What a model would say first: judgements that cost one forward pass and no generation."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ragvis.errors import UsageError
from ragvis.generator.llava import LlavaGenerator
from ragvis.generator.streams import failing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture

    Prompt = tuple[str, Sequence[Picture]]  # with its pictures, in order

_BATCH = 8  # prompts without pictures that go through the model together


class Judge:
    """Asks a loaded model for the first token of its answer.

    What all prompts begin with goes through the model once. Prompts without pictures are then
    batched; those with pictures go one by one, as pictures of some families differ in size.

    Raises:
        UsageError: a model that is not on this machine.
    """

    def __init__(self, generator: Generator) -> None:
        if not isinstance(generator, LlavaGenerator):
            hint = "Leave out --verify or --rerank, or choose a model that runs here."
            raise UsageError(f"{generator.info.name} does not tell its odds", hint)
        self._generator = generator

    def first_words(self, prompts: Sequence[Prompt], words: Sequence[str]) -> NDArray[np.float32]:
        """How likely each answer begins with each word's first token: (n, words) float32.

        Raises:
            ModelError: the GPU ran out of memory, or pictures and prompt do not fit together.
        """
        wanted = [self._generator.first_token(word) for word in words]
        out = np.zeros((len(prompts), len(words)), np.float32)
        inputs = [self._generator.inputs(text, pictures) for text, pictures in prompts]
        if not inputs:
            return out
        with failing(), torch.inference_mode():
            shared = _common(inputs, self._generator.image_token)
            begun = self._run({"input_ids": inputs[0]["input_ids"][:, :shared]}, None)
            for group in _groups([bool(pictures) for _, pictures in prompts]):
                logits = self._tails([inputs[i] for i in group], shared, begun.cache)
                out[group] = logits.float().softmax(-1)[:, wanted].cpu().numpy()
        return out

    def _tails(self, inputs: Sequence[Any], shared: int, begun: Any) -> torch.Tensor:
        """Logits (b, vocabulary) after each prompt, the first ``shared`` tokens being known."""
        tails = [one["input_ids"][0, shared:] for one in inputs]
        ids = torch.nn.utils.rnn.pad_sequence(tails, batch_first=True)  # the end is padded
        cache = copy.deepcopy(begun)
        cache.batch_repeat_interleave(len(inputs))
        more = {k: v for k, v in inputs[0].items() if k not in ("input_ids", "attention_mask")}
        out = self._run({"input_ids": ids, **more}, cache)
        last = torch.tensor([len(tail) - 1 for tail in tails], device=ids.device)
        found: torch.Tensor = out.logits[torch.arange(len(tails), device=ids.device), last]
        return found

    def _run(self, inputs: dict[str, Any], cache: Any) -> Any:
        return self._generator.model(**inputs, cache=cache, use_cache=True)


def _common(inputs: Sequence[Any], image_token: int) -> int:
    """Tokens that all prompts begin with, before any picture; each keeps one of its own."""
    rows = [one["input_ids"][0] for one in inputs]
    shortest = min(len(row) for row in rows)
    same = torch.stack([row[:shortest] == rows[0][:shortest] for row in rows]).all(dim=0)
    same &= rows[0][:shortest] != image_token
    return min(int(same.long().cumprod(0).sum()), shortest - 1)


def _groups(has_pictures: Sequence[bool]) -> list[list[int]]:
    texts = [i for i, has in enumerate(has_pictures) if not has]
    batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
    return batches + [[i] for i, has in enumerate(has_pictures) if has]
