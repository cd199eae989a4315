"""How far quantized weights are from whole ones, on a checkpoint's true weights and real text.

    python scripts/eval_8bit.py [MODEL] [--positions 2048]

Parts of the documents in tests/evalset/found, 512 tokens each, go through the language model, once
with whole weights (fp16 on CUDA, else fp32) and once with each engine. Printed: the loss (nats a
token), the relative error of the logits, how often the likeliest next token is the same one, and
the relative error of what leaves the layers, their median and the worst. Whole prompts, so that is
the weights' error; ours once more by decode steps, one token after the other, as an answer is
written, whose products round and whose head may be in 8 bits too. `bench_generate.py` has the
speed.

On CUDA everything is in halves, so the first line is not free of error either.
"""

from __future__ import annotations

import argparse
import gc
import platform
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bench_generate import agreement, relative, token_by_token

from ragvis._quiet import quiet
from ragvis.generator.decode import Decoder
from ragvis.generator.loading import BITSANDBYTES, INT8, Checkpoint, find, load_model
from ragvis.types import silent

FOUND = Path(__file__).resolve().parent.parent / "tests" / "evalset" / "found"
WINDOW = 512  # tokens
ENGINES = (
    ("whole", "none", "transformers"),
    ("ours, int8 rows", "8bit", INT8),
    ("bitsandbytes LLM.int8", "8bit", BITSANDBYTES),
    ("bitsandbytes NF4", "4bit", BITSANDBYTES),
)


@dataclass(frozen=True)
class Passes:
    """What one engine made of all windows, one after the other, on the CPU."""

    logits: torch.Tensor  # (positions, vocabulary) float32
    layers: torch.Tensor | None  # (layers, positions, width) float32; None by steps


def windows(checkpoint: Checkpoint, positions: int) -> torch.Tensor:
    """(n, WINDOW) token ids, from all over the documents."""
    files = sorted(f for f in FOUND.iterdir() if f.suffix in (".txt", ".md"))
    text = "\n\n".join(f.read_text("utf-8") for f in files)
    ids = checkpoint.processor.tokenizer(text, verbose=False).input_ids
    whole = torch.tensor(ids[: len(ids) // WINDOW * WINDOW]).view(-1, WINDOW)
    n = max(1, min(positions // WINDOW, len(whole)))
    return whole[torch.linspace(0, len(whole) - 1, n).long()]  # licences are known by heart


@torch.inference_mode()
def passes(checkpoint: Checkpoint, quantize: str, engine: str, rows: torch.Tensor) -> Passes:
    """Every window through a model that is loaded for it."""
    with quiet():
        model = load_model(checkpoint, quantize, engine)
    logits, layers = [], []
    for row in rows:
        said: Any = model(input_ids=row[None].to(model.device), output_hidden_states=True)
        logits.append(said.logits[0].float().cpu())
        layers.append(torch.stack([h[0].float().cpu() for h in said.hidden_states[1:]]))
    del model
    gc.collect()
    return Passes(torch.cat(logits), torch.cat(layers, 1))


@torch.inference_mode()
def steps(checkpoint: Checkpoint, rows: torch.Tensor) -> Passes:
    """Every window token by token, as our engine decodes."""
    with quiet():
        model = load_model(checkpoint, "8bit", INT8)
    step = Decoder(model, checkpoint.config.image_token_id).new_step(WINDOW)
    logits = []
    for row in rows.to(model.device):
        step.prefill(row[:1], [])
        logits.append(token_by_token(step, row[1:]))
    return Passes(torch.cat(logits), None)


def loss(found: Passes, rows: torch.Tensor) -> float:
    """Nats a token, of those that have one before them in their window."""
    logits = found.logits.view(*rows.shape, -1)
    return float(F.cross_entropy(logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten()))


def print_row(name: str, found: Passes, whole: Passes, rows: torch.Tensor) -> None:
    """One engine's line of the table."""
    layers = ""
    if found.layers is not None and whole.layers is not None:
        off = sorted(map(relative, found.layers, whole.layers))
        layers = f"{off[len(off) // 2]:9.4f}{off[-1]:9.4f}"
    said = found.logits[0].isfinite()  # a decode step never says that a picture comes
    off_by = relative(found.logits[:, said], whole.logits[:, said])
    print(
        f"{name:28}{loss(found, rows):8.4f}{off_by:9.4f}"
        f"{agreement(found.logits, whole.logits):8.3f}{layers}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", nargs="?", default="pocket")
    parser.add_argument("--positions", type=int, default=2048)
    asked = parser.parse_args()
    checkpoint = find(asked.model, silent)
    rows = windows(checkpoint, asked.positions)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    print(f"{asked.model}, {rows.numel()} positions; {device}, {date.today()}\n")
    print(f"{'engine':28}{'loss':>8}{'logits':>9}{'top-1':>8}{'layers':>9}{'worst':>9}")
    whole: Passes | None = None
    for name, quantize, engine in ENGINES:
        found = passes(checkpoint, quantize, engine, rows)
        whole = whole or found
        print_row(name, found, whole, rows)
        if engine == INT8:
            print_row(f"{name}, by steps", steps(checkpoint, rows), whole, rows)


if __name__ == "__main__":
    main()
