"""Decode speed of every engine on one checkpoint, beside the bandwidth that bounds it.

Weights are random, of the true shapes; words are noise. Prints one table. Of time: seconds to load
and to the first words (libraries choose kernels, ours compiles and captures them); milliseconds to
the first token, and to that of a prompt whose picture and all but 32 words are known; tokens a
second, greedy, of one answer and of eight at once; each engine's share of the fastest rate at which
its weights can be read (measured by a copy in the same run). Of memory: its peak. Of accuracy, at
over 2,000 places behind pictures: the error of the logits to the first engine's, and how often the
likeliest token is the same one (random weights make near ties of most: real ones agree more often);
ours by its decode steps, one token after the other, the others' by whole prompts.

What is loaded first as ours is also written to the cache, in its time, but for small shapes.
torchao's int8 rows are measured where it is installed, by transformers' loop and by ours.

    python scripts/bench_generate.py --shapes llava-1.5-7b     on a CUDA GPU
    python scripts/bench_generate.py --shapes llava-1b         on a CPU with 12 GB; tiny: anywhere
    python scripts/bench_generate.py --only cache --keep DIR   some engines, on a folder made before
    python scripts/bench_generate.py --only ours --profile     and what a decode step consists of
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench_shapes import IMAGE, SHAPES, TEXT_TOKENS, behind, checkpoint, prompt
from transformers import AutoConfig

from ragvis.generator.decode import Decoder
from ragvis.generator.loading import BITSANDBYTES, INT8, Checkpoint, load_model
from ragvis.generator.reuse import PictureFeatures
from ragvis.generator.sampling import Sampling
from ragvis.generator.steps import Step

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
_PASSAGES = 4  # prompts whose logits are compared
_NEW = 32  # words of a prompt that goes on from another one
_ROWS, _PROFILED = 8, 16  # answers at once; steps that are profiled


@dataclass(frozen=True)
class Speed:
    """How long an engine takes."""

    start_s: float  # the first words of all
    first_ms: float
    again_ms: float | None
    rate: float  # tokens a second
    rows_rate: float


@dataclass(frozen=True)
class Row:
    """One engine's figures."""

    name: str
    load_s: float
    speed: Speed
    peak_gib: float
    weights_gib: float  # read for every token
    logits: torch.Tensor  # (positions, vocabulary) float32, on the CPU


class Writer:
    """One engine's way of writing n token ids after each of some prompts."""

    def __init__(self, model: Any, engine: str) -> None:
        self._model = model
        self._decoder = Decoder(model, IMAGE) if engine in _OUR_LOOP else None
        self._pictures = PictureFeatures(model)

    def __call__(self, inputs: dict[str, torch.Tensor], n: int, fresh: bool = True) -> None:
        """One prompt; nothing is known of it or of its picture where it is ``fresh``."""
        if self._decoder is None:
            generate(self._model, inputs, n)
            return
        if fresh:
            self._decoder.forget()
            self._pictures.forget()
        pictures = self._pictures.of(inputs)
        sampling = Sampling(max_new_tokens=n)
        written = self._decoder.tokens(inputs["input_ids"], pictures, sampling, set())
        assert len(list(written)) == n

    @property
    def goes_on(self) -> bool:
        """Whether it uses what it knows of the last prompt."""
        return self._decoder is not None

    def rows(self, inputs: dict[str, torch.Tensor], n: int) -> None:
        """The same prompt _ROWS times at once."""
        if self._decoder is None or not self._decoder.several:
            generate(self._model, {k: torch.cat([v] * _ROWS) for k, v in inputs.items()}, n)
            return
        prompts = [(inputs["input_ids"][0], self._pictures.of(inputs))] * _ROWS
        self._decoder.many(prompts, Sampling(max_new_tokens=n), set())

    def logits(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """(n, vocabulary) float32 on the CPU: what it would say after every word behind a
        picture, word by word where the layers are ours."""
        if self._decoder is None or self._decoder._stack is None:
            whole: torch.Tensor = self._model(**inputs).logits
            return whole[0, behind(inputs) - 1 :].float().cpu()
        ids, start = inputs["input_ids"], behind(inputs)
        step = self._decoder.new_step(ids.shape[1])
        step.prefill(ids[0, :start], self._pictures.of(inputs))
        return token_by_token(step, ids[0, start:])


def token_by_token(step: Step, tokens: torch.Tensor) -> torch.Tensor:
    """What a step says after its prompt, and after each of these: (1 + n, vocabulary) float32, on
    the CPU."""
    rows = [step.logits[0].clone()]  # its one buffer
    for token in tokens:
        step.next[0] = token
        step.advance()
        rows.append(step.logits[0].clone())
    return torch.stack(rows).float().cpu()


def generate(model: Any, inputs: dict[str, torch.Tensor], n: int) -> None:
    """transformers' own loop."""
    out = model.generate(
        **inputs, max_new_tokens=n, min_new_tokens=n, do_sample=False, eos_token_id=None
    )
    assert out.shape[1] == inputs["input_ids"].shape[1] + n


def seconds(work: Callable[[], None]) -> float:
    """Wall time, the GPU's queue empty before and after."""
    wait()
    started = time.perf_counter()
    work()
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


def measure(
    folder: Path, name: str, quantize: str, engine: str, n: int, profiled: bool = False
) -> Row:
    """Load and time one engine; rates are of the tokens after the first."""
    before = 0
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()  # libraries do not give all of theirs back
    started = time.perf_counter()
    model = load(folder, quantize, engine)
    wait()
    loaded = time.perf_counter() - started
    inputs, write = prompt(model), Writer(model, engine)
    with torch.inference_mode():
        speed, peak = timed(write, inputs, n)
        read = sum(map(size_of, read_for_a_token(model)))
        own = peak - before / 2**30
        row = Row(name, loaded, speed, own, read / 2**30, logits_of(model, write))
        if profiled:
            profile("one row", partial(write, inputs))
            profile(f"{_ROWS} rows", partial(write.rows, inputs))
    del model, inputs, write
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return row


def read_for_a_token(model: Any) -> list[torch.Tensor]:
    """All weights of the language model but the table of embeddings, and its head."""
    language = model.model.language_model
    table = language.get_input_embeddings().weight
    parts = [*language.parameters(), *language.buffers(), *model.lm_head.parameters()]
    return [part for part in parts if part is not table]


def size_of(tensor: torch.Tensor) -> int:
    """Bytes; of torchao's tensors, of what they are made of."""
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(size_of(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return tensor.numel() * tensor.element_size()


def timed(write: Writer, inputs: dict[str, torch.Tensor], n: int) -> tuple[Speed, float]:
    """Its times, and the GiB that one answer after the other takes at most."""
    start = seconds(lambda: write(inputs, 4))
    first = min(seconds(lambda: write(inputs, 1)) for _ in range(3))
    again = None
    if write.goes_on:
        again = 1e3 * min(seconds(lambda: write(other(inputs), 1, fresh=False)) for _ in range(3))
        write(inputs, 4 + n)  # room for more words is made once, and a step captured for it
    few, many = (seconds(partial(write, inputs, k)) for k in (4, 4 + n))
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    write.rows(inputs, 4)
    few_rows, many_rows = (seconds(partial(write.rows, inputs, k)) for k in (4, 4 + n))
    rates = n / (many - few), _ROWS * n / (many_rows - few_rows)
    return Speed(start, first * 1e3, again, *rates), peak


def other(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Another question about the same picture."""
    ids = inputs["input_ids"].clone()
    ids[0, -_NEW:] = torch.randint(3, 31_000, (_NEW,))
    return {**inputs, "input_ids": ids}


def logits_of(model: Any, write: Writer) -> torch.Tensor:
    """(positions, vocabulary) float32 of some prompts."""
    torch.manual_seed(1)
    with torch.inference_mode():
        said = torch.cat([write.logits(prompt(model)) for _ in range(_PASSAGES)])
    said[:, IMAGE] = 0  # which is never written
    return said


def profile(what: str, write: Callable[[int], None]) -> None:
    """Print where the GPU's time goes, of _PROFILED steps after the first."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    times: dict[str, list[float]] = {}
    write(1 + _PROFILED)  # captured
    for n in (1, 1 + _PROFILED):
        with torch.profiler.profile(activities=activities, acc_events=True) as found:
            write(n)
            wait()
        for event in found.key_averages():
            times.setdefault(event.key, [0.0, 0.0])[n > 1] = event.device_time_total
    rows = sorted(((b - a) / _PROFILED, key) for key, (a, b) in times.items())[::-1]
    print(f"\nmicroseconds of a decode step of {what}, by kernel")
    for spent, key in rows[:12]:
        print(f"{spent:10.1f}  {key[:80]}")
    print(f"{sum(spent for spent, _ in rows):10.1f}  in all\n")


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
    parser.add_argument("--only", action="append", help="engines whose name has this in it")
    parser.add_argument("--keep", type=Path, help="folder for the checkpoint, kept for later runs")
    parser.add_argument("--profile", action="store_true", help="what a decode step consists of")
    chosen = parser.parse_args()
    print_head(chosen.shapes, limit := bandwidth())
    with tempfile.TemporaryDirectory() as fleeting:
        folder = chosen.keep or Path(fleeting)
        if not (folder / "config.json").is_file():
            checkpoint(chosen.shapes, folder)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        os.environ["RAGVIS_CACHE"] = str(folder / "cache")
        reference: torch.Tensor | None = None
        for engine in engines():
            if any(part in engine[0] for part in chosen.only or [""]):
                row = measure(folder, *engine, chosen.tokens, chosen.profile)
                reference = row.logits if reference is None else reference
                print_row(row, limit, reference)


def print_head(shapes: str, limit: float) -> None:
    """What was measured where, and the table's first line."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    print(f"{shapes}, random weights, a picture and {TEXT_TOKENS} tokens")
    print(f"{device}, copy {limit:.0f} GiB/s, torch {torch.__version__}, {date.today()}\n")
    print(
        f"{'engine':24}{'load s':>8}{'start s':>9}{'first ms':>10}{'again ms':>10}{'tok/s':>8}"
        f"{'of limit':>10}{'8 rows':>8}{'peak GiB':>10}{'error':>8}{'top-1':>7}",
        flush=True,
    )


def print_row(row: Row, limit: float, reference: torch.Tensor) -> None:
    """One engine's line of the table."""
    speed = row.speed
    share = speed.rate * row.weights_gib / limit
    error, same = relative(row.logits, reference), agreement(row.logits, reference)
    again = "" if speed.again_ms is None else f"{speed.again_ms:.0f}"
    print(
        f"{row.name:24}{row.load_s:8.1f}{speed.start_s:9.1f}{speed.first_ms:10.0f}{again:>10}"
        f"{speed.rate:8.1f}{share:10.2f}{speed.rows_rate:8.0f}{row.peak_gib:10.2f}{error:8.4f}"
        f"{same:7.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
