"""Checks of the int8 kernels, in a process of their own: on a CUDA GPU where there is one, else in
Triton's interpreter, which has to be chosen before Triton is imported.

    TRITON_INTERPRET=1 python tests/int8_child.py products|stack|decoder
"""

from __future__ import annotations

import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import checkpoints
import torch
import torch.nn.functional as F
from transformers import AutoModelForImageTextToText

from ragvis.generator import int8, loading
from ragvis.generator.decode import Decoder
from ragvis.generator.int8_gpu import COLUMNS, GpuStack
from ragvis.generator.int8_launch import FEW, Matrix, Norm, times
from ragvis.generator.int8_stack import Stack, fits
from ragvis.generator.reuse import Pictured, as_outputs
from ragvis.generator.sampling import Sampling
from ragvis.generator.steps import StackStep

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
CLOSE = 1e-2  # transformers' layers in float16 are as far off; a place too far is more than twice
KINDS = (checkpoints.llava_1_5, checkpoints.onevision, checkpoints.llava_next_mistral)


def off(found: torch.Tensor, true: torch.Tensor) -> float:
    """The norm of the difference to that of what is right."""
    return float((found.double().cpu() - true.double().cpu()).norm() / true.double().norm())


def matrix(out: int, width: int, biased: bool) -> Matrix:
    weight, scale = int8.quantize_rows(torch.randn(out, width, device=DEVICE))
    bias = torch.randn(out, device=DEVICE).half() if biased else None
    return Matrix(weight, scale, bias)


def whole(x: torch.Tensor, one: Matrix) -> torch.Tensor:
    assert one.scale is not None
    y = x @ (one.weight.double() * one.scale.double()[:, None]).T
    return y if one.bias is None else y + one.bias.double()


def check_products() -> None:
    """Every kernel, with all it can do on the way, against float64."""
    check_one_row()
    shapes, counts = ((37, 80, 1), (16, 1040, 1000)), (1, 3, 20, FEW + 1)
    for (out, width, outlier), n in product(shapes, counts):
        x = torch.randn(n, width, device=DEVICE).half()
        x[:, 5] *= outlier
        norm = Norm(torch.rand(width, device=DEVICE).half(), 1e-5)
        normed = x.double() * torch.rsqrt(x.double().pow(2).mean(-1, keepdim=True) + 1e-5)
        normed = normed * norm.weight.double()
        one, two = matrix(out, width, False), matrix(out, width, False)
        biased, into = matrix(out, width, True), torch.randn(n, out, device=DEVICE).half()
        sums, before = into.clone(), into.double()
        assert off(times(x, biased), whole(x.double(), biased)) < 2e-3
        assert off(times(x, biased, norm=norm), whole(normed, biased)) < 2e-3
        gated = F.silu(whole(normed, one)) * whole(normed, two)
        assert off(times(x, one, two, norm=norm), gated) < 3e-3
        assert times(x, one, into=sums) is sums
        assert off(sums, before + whole(x.double(), one)) < 2e-3
        head = Matrix(torch.randn(out, width, device=DEVICE).half())
        assert off(times(x, head, norm=norm), normed @ head.weight.double().T) < 2e-3


def check_one_row() -> None:
    """Of float32, which the sums are too, it is as exact: int8 weights fit into float16."""
    for out, width in ((5, 7), (64, 96), (37, 5000)):
        weights, x = matrix(out, width, False), torch.randn(1, width, device=DEVICE)
        assert weights.scale is not None
        expected = x @ (weights.weight.float() * weights.scale[:, None]).T
        y = times(x, weights)
        assert y.shape == (1, out)
        assert torch.allclose(y, expected, rtol=1e-4, atol=1e-4), (y - expected).abs().max()


def models(kind: Any) -> tuple[Any, Any]:
    """A checkpoint of tiny random weights as int8 rows: in float32 on the CPU, and in float16."""
    true, ours = (int8_model(kind) for _ in range(2))
    assert not fits(true, torch.float16, COLUMNS)
    ours = ours.half().to(DEVICE)
    assert fits(ours, torch.float16, COLUMNS)
    return true, ours


def int8_model(kind: Any) -> Any:
    """In float32 on the CPU, with heads as wide as our layers take them; the same every time."""
    checkpoints.WORDS |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32}
    with tempfile.TemporaryDirectory() as folder:
        model = AutoModelForImageTextToText.from_pretrained(kind(Path(folder) / "model")).eval()
    tell_apart(model)
    if model.config.text_config.model_type == "mistral":  # as LLaVA-1.6's: no window
        model.model.language_model.config.sliding_window = None
        model.config.text_config.sliding_window = None
    return int8.quantize(model, loading.KEPT_WHOLE, "cpu")


@torch.no_grad()
def tell_apart(model: Any) -> None:
    """Norms and biases that are not all alike, and attention that minds where it looks."""
    draw = torch.Generator().manual_seed(1)
    for name, weight in model.model.language_model.named_parameters():
        if "norm" in name:
            weight.copy_(0.5 + torch.rand(weight.shape, generator=draw))
        elif name.endswith("bias"):
            weight.copy_(torch.randn(weight.shape, generator=draw))
        elif "q_proj" in name or "k_proj" in name:
            weight.mul_(10)


def prompt(model: Any, words: int) -> tuple[torch.Tensor, list[Pictured]]:
    """ids (n,) with one picture of nine tokens near their beginning."""
    ids = torch.randint(5, 250, (words,), device=DEVICE)
    ids[4:13] = model.config.image_token_id
    width = model.config.text_config.hidden_size
    return ids, [Pictured("one", 0.1 * torch.randn(9, width))]


@torch.inference_mode()
def check_stack() -> None:
    """Of all families; the one with biases goes the whole way, as the interpreter is slow."""
    for kind in KINDS:
        torch.manual_seed(0)
        true, ours = models(kind)
        if kind is checkpoints.onevision:
            check_layers(true, ours, GpuStack(ours))
        else:
            check_one_step(true, ours, GpuStack(ours))


def check_one_step(true: Any, ours: Any, stack: Stack) -> None:
    """What our layers say after one token."""
    (ids, pictures), step = prompt(ours, 31), new_step(ours, stack, 256)
    assert step.prefill(ids[:30], pictures) == 0
    step.next.copy_(ids[30:31])
    step.advance()
    assert off(said(step), right_logits(true, ids, pictures)[30]) < CLOSE


def check_layers(true: Any, ours: Any, stack: Stack) -> None:
    """What our layers say after a prompt, after more of it, and after every token."""
    ids, pictures = prompt(ours, 150)
    right = right_logits(true, ids, pictures)
    step = new_step(ours, stack, 256)
    assert step.prefill(ids[:140], pictures) == 0  # whole matrices, two parts of attention
    assert off(said(step), right[139]) < CLOSE
    for place in (140, 141):
        step.next.copy_(ids[place : place + 1])
        step.advance()
        step.begun.ids.append(int(ids[place]))
        assert off(said(step), right[place]) < CLOSE
        assert step.asked()() == [int(step.logits[0].argmax())]
    assert step.prefill(ids[:146], pictures) == 142  # a few rows, behind what is known
    assert off(said(step), right[145]) < CLOSE
    longer = new_step(ours, stack, 384)
    longer.take_over(step)
    assert longer.prefill(ids[:147], pictures) == 146  # one row
    assert off(said(longer), right[146]) < CLOSE
    if stack.takes_rows:
        stack.warm()
        rows = new_step(ours, stack, 256, 2)
        rows.prefill_row(0, ids[:147], pictures)
        rows.prefill_row(1, ids[:20], pictures)  # rows need not be alike
        rows.next.copy_(ids[[147, 20]])
        rows.advance()
        assert off(said(rows, 0), right[147]) < CLOSE
        assert off(said(rows, 1), right[20]) < CLOSE


def new_step(model: Any, stack: Stack, length: int, rows: int = 1) -> StackStep:
    return StackStep(stack, length, model.config.image_token_id, rows)


def right_logits(true: Any, ids: torch.Tensor, pictures: list[Pictured]) -> torch.Tensor:
    """(n, vocabulary) by transformers' layers, nothing for pictures, which are never said."""
    shown = as_outputs(pictures, torch.device("cpu"))
    right: torch.Tensor = true(input_ids=ids[None].cpu(), **shown).logits[0]
    right[:, true.config.image_token_id] = 0
    return right


def said(step: StackStep, row: int = 0) -> torch.Tensor:
    found = step.logits[row].clone()
    assert found.isneginf().sum() == 1
    return found.nan_to_num(neginf=0)


@torch.inference_mode()
def check_decoder() -> None:
    """One answer, the same again from what is known, and several at once."""
    torch.manual_seed(0)
    checkpoints.WORDS["num_hidden_layers"] = 1  # the interpreter is slow
    _, ours = models(checkpoints.onevision)
    decoder = Decoder(ours, ours.config.image_token_id)
    decoder._stack = GpuStack(ours)
    prompts = [prompt(ours, n) for n in (20, 24)]
    sampling, drawn = Sampling(max_new_tokens=3), Sampling(max_new_tokens=3, temperature=1, seed=3)
    alone = [list(decoder.tokens(ids[None], p, sampling, set())) for ids, p in prompts]
    assert [len(words) for words in alone] == [3, 3]
    ids, pictures = prompts[1]
    for ahead in (False, True):  # as on a CPU, and as on a GPU
        (step,) = decoder._kept
        assert isinstance(step, StackStep)
        step.runs_ahead = ahead
        assert list(decoder.tokens(ids[None], pictures, sampling, set())) == alone[1]
        assert decoder.reused == len(ids) - 1
        left = decoder.tokens(ids[None], pictures, sampling, set())
        assert [next(left), next(left)] == alone[1][:2]
        left.close()
        assert len(step.begun.ids) == int(step._held.positions)  # what is known is there
        ended = list(decoder.tokens(ids[None], pictures, sampling, {alone[1][1]}))
        assert ended == alone[1][: alone[1].index(alone[1][1])]
        assert len(step.begun.ids) == int(step._held.positions)
    assert decoder.many(prompts, sampling, set()) == alone
    end = alone[0][1]
    assert decoder.many(prompts, sampling, {end})[0] == alone[0][: alone[0].index(end)]
    noise = list(decoder.tokens(ids[None], pictures, drawn, set()))
    assert noise != alone[1]
    assert decoder.many([prompts[1]], drawn, set()) == [noise]
    longer = decoder.tokens(ids[None], pictures, Sampling(max_new_tokens=1024), set())
    assert next(longer) == alone[1][0]
    assert decoder.reused == len(ids) - 1


if __name__ == "__main__":
    {"products": check_products, "stack": check_stack, "decoder": check_decoder}[sys.argv[1]]()
    print("equal")
