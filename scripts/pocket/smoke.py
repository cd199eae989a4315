"""All of the recipe, small: drawn shapes, a tower of two layers, a language model of two layers.

What comes out can do nothing. What it shows is that every stage runs, learns, and fits the next.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from scripts.pocket import conversations, finish, instructions, parts, pictures
from scripts.pocket.conversations import Conversation
from scripts.pocket.loop import Plan, train
from scripts.pocket.photographs import train_photographs
from scripts.pocket.stages import CONNECTOR, Data, stage_1, stage_2
from scripts.pocket.tower import Shape, train_tower

_SHAPES = {
    "circle": '<circle cx="8" cy="8" r="6" fill="{}"/>',
    "square": '<rect x="3" y="3" width="10" height="10" fill="{}"/>',
    "triangle": '<path d="M8 2L14 14H2Z" fill="{}"/>',
    "bar": '<rect x="1" y="6" width="14" height="4" fill="{}"/>',
    "cross": '<path d="M6 1h4v5h5v4h-5v5H6v-5H1V6h5z" fill="{}"/>',
}
_COLOURS = "red blue green orange purple black teal brown gold navy pink olive".split()
_SIDE = 64  # pixels
_AT_ONCE, _LONGEST = 8, 128  # texts of a batch of the language model, and their tokens
_BUDGET = 2048  # tokens of a batch of either stage


@dataclass(frozen=True, slots=True)
class Outcome:
    """The losses of each stage by step, and what was measured at the end."""

    tower: list[float]
    photographs: list[float]
    stage_1: list[float]
    stage_2: list[float]
    recall: dict[str, float]
    metrics: dict[str, object]
    model: Path


def run(work: Path, steps: int = 40) -> Outcome:
    """Every stage, into ``work``; two minutes on two cores."""
    listed = _pictures(work)
    small = Shape(width=64, layers=2, heads=2, side=_SIDE)
    tower = train_tower(listed, work / "tower", "pocket", small, Plan(2 * steps, 2e-3), batch=32)
    seen = train_photographs(listed, work / "photographs", "pocket", Plan(steps, 3e-3))
    for split in ("train", "test"):
        instructions.make(listed, split, 120, 160, work / "pictures" / split, seed=len(split))
    captions, turns = (
        conversations.read(work / "pictures" / "train" / f"{name}.json", work / "pictures")
        for name in ("captions", "conversations")
    )
    language = _language_model(work / "language", [*captions, *turns], 2 * steps)
    base = work / "base"
    parts.assemble(str(work / "tower" / "vision"), str(language), "pocket", base)
    first = stage_1(base, Data(captions, "pocket", _BUDGET), Plan(steps, 1e-2), work / "stage1")
    second = stage_2(
        base,
        Data(turns, "pocket", _BUDGET),
        Plan(2 * steps, 5e-3),
        work / "stage2",
        work / "stage1" / CONNECTOR,
        rank=8,
    )
    finish.export(base, work / "stage2", work / "model")
    test = conversations.read(work / "pictures" / "test" / "conversations.json", work / "pictures")
    one_a_kind = list({one.kind: one for one in test}.values())
    metrics = finish.evaluate(work / "model", one_a_kind, work / "measured")
    return Outcome(tower.losses, seen.losses, first, second, tower.recall, metrics, work / "model")


def _pictures(work: Path) -> Path:
    """A pack in Iconify's form, drawn as the real ones are."""
    icons = {
        f"{name}{colour}": {"body": body.format(colour)}
        for colour, (name, body) in itertools.product(_COLOURS, _SHAPES.items())
    }
    work.mkdir(parents=True, exist_ok=True)
    file = work / "icons.json"
    file.write_text(json.dumps({"width": 16, "height": 16, "icons": icons}), "utf-8")
    pack = pictures.Pack("shapes", "1", "", "CC0-1.0", "ragvis")
    pictures.build([(pack, file)], work / "pictures", _SIDE)
    return work / "pictures" / pictures.LISTED


def _language_model(folder: Path, taught: Sequence[Conversation], steps: int) -> Path:
    """A language model that has read the conversations' texts, without a picture."""
    texts = [conversations.written(one, "pocket")[0] for one in taught]
    tokenizer = byte_tokenizer(texts, 1000)
    torch.manual_seed(0)
    model = LlamaForCausalLM(_shape(tokenizer)).train()
    ids = [torch.tensor(tokenizer(text).input_ids[:_LONGEST]) for text in texts]

    def loss_of(step: int) -> torch.Tensor:
        some = [ids[(step * _AT_ONCE + n) % len(ids)] for n in range(_AT_ONCE)]
        rows = pad_sequence(some, True, tokenizer.pad_token_id)
        labels = pad_sequence(some, True, conversations.IGNORED)
        loss: torch.Tensor = model(rows, attention_mask=labels >= 0, labels=labels).loss
        return loss

    train(list(model.parameters()), loss_of, Plan(steps, 3e-3), folder / "run")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def byte_tokenizer(texts: Sequence[str], tokens: int) -> PreTrainedTokenizerFast:
    """Byte pairs of some texts, with the tokens that open and close a turn in ChatML."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=tokens,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )


def _shape(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
