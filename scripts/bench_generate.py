"""Decode speed of every engine on one checkpoint, beside the bandwidth that bounds it.

Weights are random, of the true shapes; words are noise. Prints one table: milliseconds to the
first token, tokens a second (batch 1, greedy), peak memory, load time, and each engine's share of
the fastest rate at which its weights can be read (measured by a copy in the same run). Then, of
logits at over 2,000 positions, the error relative to the first engine's and how often the likeliest
token is the same one (random weights make near ties of most: real ones agree more often); of whole
prompts, so it is the weights' error and not that of a decode step's kernel. What is loaded first as
ours is also written to the cache, in its time; small shapes are not, and loaded twice alike.
torchao's int8 rows are measured too where it is installed, by transformers' loop and by ours.

    python scripts/bench_generate.py --shapes llava-1.5-7b     on a CUDA GPU
    python scripts/bench_generate.py --shapes llava-1b         on a CPU with 12 GB
    python scripts/bench_generate.py --shapes tiny             anywhere
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from ragvis.generator.decode import Decoder
from ragvis.generator.loading import BITSANDBYTES, INT8, Checkpoint, load_model
from ragvis.generator.reuse import PictureFeatures
from ragvis.generator.sampling import Sampling

IMAGE, PICTURE_TOKENS, TEXT_TOKENS = 32_000, 576, 548
SHAPES = {  # width, inner width, heads, layers of the language model; the tower's width, layers
    "llava-1.5-7b": (4096, 11008, 32, 32, 1024, 24),
    "llava-1b": (2048, 5632, 16, 16, 1024, 24),
    "tiny": (256, 512, 4, 4, 64, 3),
}
TORCHAO, TORCHAO_IN_OUR_LOOP = "torchao", "torchao in our loop"
ENGINES = (
    ("transformers fp16/fp32", "none", "transformers"),
    ("bitsandbytes LLM.int8", "8bit", BITSANDBYTES),
    ("bitsandbytes NF4", "4bit", BITSANDBYTES),
    ("ours, int8 rows", "8bit", INT8),
    ("ours, from its cache", "8bit", INT8),
    ("torchao int8, generate", "none", TORCHAO),
    ("torchao int8, our loop", "none", TORCHAO_IN_OUR_LOOP),
)
_NEEDS_TORCHAO = (TORCHAO, TORCHAO_IN_OUR_LOOP)
_OUR_LOOP = (INT8, TORCHAO_IN_OUR_LOOP)
_PASSAGES = 2  # prompts whose logits are compared


@dataclass(frozen=True)
class Row:
    """One engine's figures."""

    name: str
    load_s: float
    first_ms: float
    rate: float  # tokens a second
    peak_gib: float
    weights_gib: float  # read for every token
    logits: torch.Tensor  # (positions, vocabulary) float32, on the CPU


def checkpoint(shapes: str, folder: Path) -> Path:
    """Random weights of LLaVA-1.5's architecture."""
    width, inner, heads, layers, tower, tower_layers = SHAPES[shapes]
    vision = CLIPVisionConfig(
        hidden_size=tower,
        intermediate_size=4 * tower,
        num_hidden_layers=tower_layers,
        num_attention_heads=max(1, tower // 64),
        image_size=336,
        patch_size=14,
    )
    text = LlamaConfig(
        vocab_size=32_064,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.set_default_dtype(torch.float16)
        model = LlavaForConditionalGeneration(config)
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    return folder


def prompt(model: Any) -> dict[str, torch.Tensor]:
    """One picture and some text."""
    ids = torch.randint(3, 31_000, (1, PICTURE_TOKENS + TEXT_TOKENS), device=model.device)
    ids[0, 5 : 5 + PICTURE_TOKENS] = IMAGE
    pixels = torch.randn(1, 3, 336, 336, device=model.device, dtype=model.dtype)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}


Writer = Callable[[dict[str, torch.Tensor], int], Iterator[int]]


def writer(model: Any, engine: str) -> Writer:
    """The engine's own way of writing n token ids."""
    if engine not in _OUR_LOOP:
        return partial(generate, model)
    return partial(decode, model, Decoder(model))


def decode(model: Any, decoder: Decoder, inputs: dict[str, torch.Tensor], n: int) -> Iterator[int]:
    """Our own loop, with nothing known of the prompt or its picture."""
    decoder.forget()
    pictures = PictureFeatures(model).of(inputs)
    sampling = Sampling(max_new_tokens=n)
    return decoder.tokens(inputs["input_ids"], pictures, sampling, IMAGE, set())


def generate(model: Any, inputs: dict[str, torch.Tensor], n: int) -> Iterator[int]:
    """transformers' own loop."""
    out = model.generate(
        **inputs, max_new_tokens=n, min_new_tokens=n, do_sample=False, eos_token_id=None
    )
    yield from out[0, inputs["input_ids"].shape[1] :].tolist()


def seconds(write: Writer, inputs: dict[str, torch.Tensor], n: int) -> float:
    """Wall time for n tokens, the GPU's queue empty before and after."""
    wait()
    started = time.perf_counter()
    assert len(list(write(inputs, n))) == n
    wait()
    return time.perf_counter() - started


def wait() -> None:
    """Until the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def load(folder: Path, quantize: str, engine: str) -> Any:
    """The model, with int8 rows by torchao in its language model if that is the engine."""
    config = AutoConfig.from_pretrained(folder)
    by_torchao = engine in _NEEDS_TORCHAO
    found = Checkpoint(str(folder), str(folder), None, config, None)
    model = load_model(found, quantize, "transformers" if by_torchao else engine)
    if by_torchao:
        ao = importlib.import_module("torchao.quantization")
        ao.quantize_(model.model.language_model, ao.Int8WeightOnlyConfig())
    return model


def engines() -> list[tuple[str, str, str]]:
    """All of them, but for those of a library that is not installed."""
    if importlib.util.find_spec("torchao"):
        return list(ENGINES)
    print("torchao is not installed (pip install torchao): its rows are left out")
    return [one for one in ENGINES if one[2] not in _NEEDS_TORCHAO]


def measure(folder: Path, name: str, quantize: str, engine: str, n: int) -> Row:
    """Load and time one engine; rates are of the tokens after the first."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    model = load(folder, quantize, engine)
    wait()
    loaded = time.perf_counter() - started
    inputs, write = prompt(model), writer(model, engine)
    with torch.inference_mode():
        seconds(write, inputs, 4)  # libraries choose their kernels, ours captures its step
        first = min(seconds(write, inputs, 1) for _ in range(2))
        few, many = (seconds(write, inputs, k) for k in (4, 4 + n))
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    language = [*model.model.language_model.parameters(), *model.model.language_model.buffers()]
    read = sum(t.numel() * t.element_size() for t in [*language, *model.lm_head.parameters()])
    row = Row(name, loaded, first * 1e3, n / (many - few), peak, read / 2**30, logits_of(model))
    del model, inputs, write
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return row


def logits_of(model: Any) -> torch.Tensor:
    """(positions, vocabulary) float32: what it would say after every token of some prompts."""
    torch.manual_seed(1)
    with torch.inference_mode():
        rows = [model(**prompt(model)).logits[0].float().cpu() for _ in range(_PASSAGES)]
    return torch.cat(rows)


def relative(ours: torch.Tensor, whole: torch.Tensor) -> float:
    """The norm of the difference to that of what is right."""
    norm = partial(torch.linalg.vector_norm, dtype=torch.float64)  # of hundreds of millions
    return float(norm(ours - whole) / norm(whole))


def agreement(ours: torch.Tensor, whole: torch.Tensor) -> float:
    """How often the likeliest token is the same one: logits (positions, vocabulary)."""
    return float((ours.argmax(1) == whole.argmax(1)).float().mean())


def bandwidth() -> float:
    """GiB a second that a large copy reads and writes."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.empty(2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    wait()
    started = time.perf_counter()
    for _ in range(8):
        target.copy_(source)
    wait()
    return 2 * 8 / (time.perf_counter() - started)


def main() -> None:
    """Write a checkpoint, measure each engine on it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shapes", choices=SHAPES, default="tiny")
    parser.add_argument("--tokens", type=int, default=64)
    chosen = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    known = engines()
    limit = bandwidth()
    print(f"{chosen.shapes}, random weights, batch 1, {PICTURE_TOKENS} + {TEXT_TOKENS} tokens")
    print(f"{device}, copy {limit:.0f} GiB/s, torch {torch.__version__}, {date.today()}\n")
    print(
        f"{'engine':24}{'load s':>8}{'first ms':>10}{'tok/s':>8}{'of limit':>10}{'peak GiB':>10}"
        f"{'error':>10}{'top-1':>8}"
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint(chosen.shapes, Path(folder))
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        os.environ["RAGVIS_CACHE"] = str(Path(folder) / "cache")
        reference: torch.Tensor | None = None
        for name, quantize, engine in known:
            row = measure(Path(folder), name, quantize, engine, chosen.tokens)
            reference = row.logits if reference is None else reference
            print_row(row, limit, reference)


def print_row(row: Row, limit: float, reference: torch.Tensor) -> None:
    """One engine's line of the table."""
    share = row.rate * row.weights_gib / limit
    error, same = relative(row.logits, reference), agreement(row.logits, reference)
    print(
        f"{row.name:24}{row.load_s:8.1f}{row.first_ms:10.0f}{row.rate:8.1f}"
        f"{share:10.2f}{row.peak_gib:10.2f}{error:10.4f}{same:8.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
