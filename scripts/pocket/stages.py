"""LLaVA's two stages: the connector alone on captions, then connector and LoRA on conversations.

Liu et al., Visual Instruction Tuning (2023) and Improved Baselines with Visual Instruction Tuning
(2023). Rates are theirs, 1e-3 for the first stage and 2e-4 for the second, but for the connector's
in the second, which here is the LoRA's, and how tokens are weighed (see ``Trainee.loss``).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ragvis._quiet import quiet
from ragvis.conversation import IMAGE_TOKEN
from ragvis.errors import UsageError
from ragvis.generator.loading import find, load_model
from ragvis.generator.processors import picture_tokens
from ragvis.media.source import load_picture
from scripts.pocket import conversations
from scripts.pocket.branches import Sheaf, gather, packed, sight
from scripts.pocket.conversations import IGNORED, Conversation
from scripts.pocket.loop import Plan, train
from scripts.pocket.lora import LORA_FILE, Lora

CONNECTOR = "connector.safetensors"
LORA = "lora"
_SORTED = 64  # batches that are made of examples sorted by length


@dataclass(frozen=True, slots=True)
class Data:
    """What a stage learns from.

    Attributes:
        examples: conversations.
        template: that they are written in.
        budget: tokens of a batch, padding included.
        longest: tokens of a conversation; longer ones are left out.
    """

    examples: Sequence[Conversation]
    template: str
    budget: int = 8192
    longest: int = 2048


class Trainee:
    """A LLaVA checkpoint in training."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)  # of the LoRA that may be added
        checkpoint = find(str(folder), print)
        if checkpoint.config.model_type != "llava":
            hint = "Tiles of NeXT and OneVision are not trained here."
            raise UsageError(f"{folder} is a {checkpoint.config.model_type!r}", hint)
        self.processor = checkpoint.processor
        with quiet():
            self.model = load_model(checkpoint, "none", "transformers").float().train()
        self.model.requires_grad_(False)
        self._on_gpu = self.model.device.type == "cuda"
        self._dtype = torch.bfloat16 if self._on_gpu else torch.float32
        self._width = 0  # of all batches, where they are of one

    @property
    def connector(self) -> Any:
        """Tower to language model."""
        return self.model.model.multi_modal_projector

    def add_lora(self, rank: int, begun: Path | None) -> Lora:
        """A LoRA on the language model, new or as another run left it.

        Raises:
            UsageError: what the other run left is none of that, or another model's.
        """
        try:
            return Lora(self.model.model.language_model, rank, begun)
        except (OSError, SafetensorError, RuntimeError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UsageError(f"no LoRA of this model in {begun}: {reason}") from error

    def compile(self) -> None:
        """Layer by layer: they are alike, so one of them is compiled."""
        for layer in self.model.model.language_model.layers:
            layer.compile(dynamic=False)

    def loss(self, batch: Sequence[Sheaf]) -> torch.Tensor:
        """Mean negative log-likelihood of the answers' tokens, those of an answer of n counting
        one over the root of n each (square averaging, as InternVL 2.5): as single tokens long
        answers would drown the short ones, and as answers the other way round."""
        inputs = self._collated(batch)
        labels = self._padded([one.labels for one in batch], IGNORED)[:, 1:]
        weights = self._padded([one.weights for one in batch], 0.0)[:, 1:]
        learned = labels != IGNORED
        device = self.model.device.type
        mixed = torch.autocast(device, self._dtype) if device == "cuda" else nullcontext()
        with mixed:
            hidden = self.model.model(**inputs, use_cache=False).last_hidden_state  # (b, n, d)
            # A vocabulary is wide: the few tokens that are learned go through the head alone
            logits = self.model.lm_head(hidden[:, :-1][learned])
        weights = weights[learned]
        losses = torch.nn.functional.cross_entropy(
            logits.float(), labels[learned], reduction="none"
        )
        return (losses * weights).sum() / weights.sum()

    def _padded(self, rows: Sequence[list[Any]], padding: float) -> torch.Tensor:
        """(b, n) int64 or float32, padded behind."""
        width = self._width or max(map(len, rows))
        filled = [row + [padding] * (width - len(row)) for row in rows]
        return torch.tensor(filled, device=self.model.device)

    def _collated(self, batch: Sequence[Sheaf]) -> dict[str, torch.Tensor]:
        """Ids and positions (b, n), mask (b, 1, n, n); pixels (pictures, 3, h, w)."""
        padding = int(self.processor.tokenizer.pad_token_id or 0)
        ids = self._padded([one.ids for one in batch], padding)
        inputs = {
            "input_ids": ids,
            "position_ids": self._padded([one.positions for one in batch], 0),
            "attention_mask": sight(batch, ids.shape[1], ids.device, self._dtype),
        }
        files = [file for one in batch for file in one.images]
        return inputs | ({"pixel_values": self._pixels(files)} if files else {})

    def _pixels(self, files: Sequence[Path]) -> torch.Tensor:
        """(pictures, 3, h, w)."""
        pictures = [load_picture(file) for file in files]
        shown = self.processor.image_processor(pictures, return_tensors="pt")
        pixels: torch.Tensor = shown["pixel_values"].to(self.model.device)
        return pixels

    def encoded(self, data: Data) -> list[Sheaf]:
        """What of the data is short enough; what begins alike is put together.

        Raises:
            UsageError: nothing is.
        """
        size = picture_tokens(self.processor, [(8, 8)])
        tokenizer = self.processor.tokenizer
        found = [
            conversations.encode(one, data.template, tokenizer, size, data.longest)
            for one in data.examples
        ]
        kept = [one for one in found if one is not None]
        if not kept:
            raise UsageError("no conversation to learn from", "All are too long, or there is none.")
        print(f"{len(kept)} conversations; {len(found) - len(kept)} were too long")
        image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        return gather(kept, min(data.longest, data.budget), image)

    def batches(self, data: Data) -> Batches:
        """Of all that is short enough. A GPU is given full rows of one length: compiled layers want
        one shape.

        Raises:
            UsageError: nothing is.
        """
        examples = self.encoded(data)
        if self._on_gpu:
            self._width = data.longest
            self.compile()
            examples = packed(examples, data.longest)
        return Batches(examples, data.budget)


def stage_1(folder: Path, data: Data, plan: Plan, out: Path) -> list[float]:
    """Learn the connector; all else stays as it is. Writes ``connector.safetensors``."""
    trainee = Trainee(folder)
    trainee.connector.requires_grad_(True)
    # From words alone a connector learns nothing
    pictured = replace(data, examples=[one for one in data.examples if one.images])
    batches = trainee.batches(pictured)
    learned = list(trainee.connector.parameters())
    losses = train(
        learned, lambda step: trainee.loss(batches.at(step)), plan, out, of=batches.digest(folder)
    )
    write(trainee.connector.state_dict(), out / CONNECTOR)
    return losses


def stage_2(
    folder: Path,
    data: Data,
    plan: Plan,
    out: Path,
    connector: Path,
    rank: int,
    begun: Path | None = None,
) -> list[float]:
    """Learn a LoRA of the language model, and go on with the connector. Writes ``lora/`` too.

    Args:
        folder: the checkpoint that ``assemble`` wrote.
        data: what it learns from.
        plan: how long and how fast.
        out: where the weights go.
        connector: of stage 1, or of an earlier round of this one.
        rank: of the LoRA, if it is new.
        begun: the LoRA folder of an earlier round, to go on with.

    Raises:
        UsageError: connector or LoRA are another model's.
    """
    trainee = Trainee(folder)
    read_connector(trainee.connector, connector)
    trainee.connector.requires_grad_(True)
    lora = trainee.add_lora(rank, begun)
    learned = [*trainee.connector.parameters(), *lora.learned]
    batches = trainee.batches(data)
    of = batches.digest(folder, connector, rank, begun)
    losses = train(learned, lambda step: trainee.loss(batches.at(step)), plan, out, of=of)
    write(trainee.connector.state_dict(), out / CONNECTOR)
    (out / LORA).mkdir(exist_ok=True)
    write(lora.state(), out / LORA / LORA_FILE)
    lora.config().save_pretrained(str(out / LORA))
    return losses


class Batches:
    """Examples of like length together, in an order that a step's number alone decides."""

    _made: list[list[int]]  # batches of the epoch, as places among the examples

    def __init__(self, examples: Sequence[Sheaf], budget: int) -> None:
        self._examples = examples
        self._budget = budget
        self._restart()

    def at(self, step: int) -> list[Sheaf]:
        """The batch of a step."""
        if step < self._start:
            self._restart()
        while step - self._start >= len(self._made):
            self._start += len(self._made)
            self._epoch += 1
            self._made = self._make(random.Random(self._epoch))
        return [self._examples[i] for i in self._made[step - self._start]]

    def digest(self, *more: object) -> str:
        """What tells one run's data from another's, with what else it began from."""
        told = hashlib.sha256(repr((self._budget, *map(str, more))).encode())
        for one in self._examples:
            told.update(repr((one.ids, [str(file) for file in one.images])).encode())
        return told.hexdigest()

    def _restart(self) -> None:
        self._epoch, self._start = 0, 0  # the epoch's number, and that of its first step
        self._made = self._make(random.Random(0))

    def _make(self, chance: random.Random) -> list[list[int]]:
        order = list(range(len(self._examples)))
        chance.shuffle(order)
        longest = max(len(one.ids) for one in self._examples)
        stretch = max(1, self._budget // longest) * _SORTED
        batches = []
        for start in range(0, len(order), stretch):
            some = sorted(order[start : start + stretch], key=lambda i: len(self._examples[i].ids))
            batches += self._cut(some)
        chance.shuffle(batches)
        return batches

    def _cut(self, some: list[int]) -> list[list[int]]:
        """Ascending lengths into batches of at most the budget, or of one."""
        batches: list[list[int]] = [[]]
        for i in some:
            wide = (len(batches[-1]) + 1) * len(self._examples[i].ids)
            if batches[-1] and wide > self._budget:
                batches.append([])
            batches[-1].append(i)
        return batches


def read_connector(connector: Any, file: Path) -> None:
    """Give a connector the weights that a stage wrote.

    Raises:
        UsageError: the file is none of that, or another model's.
    """
    try:
        connector.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"no connector of this model in {file}: {reason}") from error


def write(state: dict[str, torch.Tensor], file: Path) -> None:
    """Weights by name, in half precision."""
    save_file({k: v.half().cpu().contiguous() for k, v in state.items()}, file)
