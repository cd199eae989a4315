"""8-bit weights: their rows, their kernels, and the cache that keeps them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import bitsandbytes
import checkpoints
import int8_child
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from test_generator import SHORT, noise
from transformers import AutoModelForImageTextToText

from ragvis import generator
from ragvis.generator import int8, int8_launch, loading
from ragvis.generator.decode import Decoder
from ragvis.generator.int8_cpu import CpuStack
from ragvis.generator.int8_stack import Held
from ragvis.generator.sampling import Sampling

if sys.platform == "linux":
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ragvis.generator import int8_kernels


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU, on a machine that has a GPU too."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(int8_child, "DEVICE", "cpu")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("family", ["llava_1_5", "onevision"])
def test_int8_rows_on_the_cpu(
    folder_of: Callable[[str], str], load: Callable[..., Any], family: str
) -> None:
    model = eight_bit(folder_of(family), [])
    linear = [m for m in model._model.modules() if isinstance(m, int8.Int8Linear)]
    assert len(linear) == 2 * 7  # every projection of both layers, and nothing else
    assert model.info.engine == "int8"
    whole = load(family)
    prompt, shot = "<image>\nWhat?", noise(120, 90)
    with torch.inference_mode():
        rows = [m._model(**m.inputs(prompt, [shot])).logits[0] for m in (model, whole)]
    assert torch.cosine_similarity(*rows, dim=-1).min() > 0.99
    pieces = list(model.stream(prompt, [shot], SHORT))
    assert 1 <= model.usage.completion_tokens <= 6
    assert "".join(pieces) == model._whole(model.inputs(prompt, [shot]), SHORT)


@given(out=st.integers(1, 70), blocks=st.integers(1, 6), seed=st.integers(0, 99))
def test_a_row_by_int8_weights_on_the_cpu(out: int, blocks: int, seed: int) -> None:
    """As exact as bfloat16 activations are, whatever the shape and however large an outlier."""
    draw, width = torch.Generator().manual_seed(seed), 64 * blocks
    weight, scale = int8.quantize_rows(torch.randn(out, width, generator=draw))
    x = torch.randn(1, 1, width, generator=draw)
    x[..., seed % width] *= 1000
    y = int8.one_row_on_cpu(x, weight, scale)
    whole = x.double() @ (weight.double() * scale[:, None].double()).T
    most = (x.abs().double() @ (weight.abs().double() * scale[:, None].double()).T) / 128
    assert y.shape == (1, 1, out) and y.dtype == x.dtype
    assert bool(((y - whole).abs() <= most + 1e-6).all())


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("kind", int8_child.KINDS)
def test_our_layers_on_the_cpu(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say what transformers' do, with the head in 8 bits too."""
    monkeypatch.setattr(checkpoints, "WORDS", dict(checkpoints.WORDS))
    model = int8_child.int8_model(kind)
    stack = CpuStack(model)
    assert model.lm_head.weight.dtype == torch.float32  # which others may share
    head = stack.head
    assert head.scale is not None
    model.lm_head.weight = torch.nn.Parameter(head.weight * head.scale[:, None])
    torch.manual_seed(0)
    with torch.inference_mode():
        int8_child.check_layers(model, model, stack)
        ids = torch.randint(5, 250, (40,))  # of many rows nothing is rounded
        seen = stack.read(stack.embed(ids), new_cache(stack), 0, 0)
        language = model.model.language_model
        right = language(input_ids=ids[None]).last_hidden_state[0]
        assert torch.allclose(language.norm(seen), right, rtol=1e-3, atol=1e-4)


def new_cache(stack: CpuStack) -> Held:
    cache = Held(stack, 1, 64)
    cache.fill()
    return cache


@pytest.mark.usefixtures("no_gpu")
def test_our_layers_are_what_answers_on_a_cpu(
    folder_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they fit; heads of 16 numbers, and whole weights, are transformers'."""
    assert Decoder(eight_bit(folder_of("llava_1_5"), [])._model, 0)._stack is None
    monkeypatch.setattr(checkpoints, "WORDS", dict(checkpoints.WORDS))
    model = int8_child.int8_model(checkpoints.llava_1_5)
    decoder = Decoder(model, model.config.image_token_id)
    assert isinstance(decoder._stack, CpuStack) and not decoder.several
    ids, pictures = int8_child.prompt(model, 20)
    sampling = Sampling(max_new_tokens=4, temperature=1, seed=3)
    one, two = (list(decoder.tokens(ids[None], pictures, sampling, set())) for _ in range(2))
    assert one == two and decoder.reused == 19


@pytest.mark.usefixtures("no_gpu")
def test_what_is_stored_in_16_bits_is_quantized_from_them(
    folder_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows as from 32 bits, at half the memory; what is kept whole is float32."""
    read: list[torch.dtype] = []
    whole = loading._whole_model
    monkeypatch.setattr(loading, "_whole_model", lambda *a: (read.append(a[2]), whole(*a))[1])
    folder = tmp_path / "half"
    shutil.copytree(folder_of("llava_1_5"), folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float16)
    model.save_pretrained(folder)
    assert loading.find(str(folder), print).config.dtype == torch.float16
    ours = generator.load(str(folder), print)._model
    assert read == [torch.float16]
    assert all(
        p.dtype == torch.float32 for p in ours.state_dict().values() if p.is_floating_point()
    )
    wide = int8.quantize(model.float(), loading.KEPT_WHOLE, "cpu").state_dict()
    assert all(torch.equal(wide[name], tensor) for name, tensor in ours.state_dict().items())


def eight_bit(folder: str, said: list[str]) -> Any:
    return generator.load(folder, said.append, quantize="8bit", engine="int8")


@pytest.fixture
def int8_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, for models as small as the tests'."""
    monkeypatch.setenv("RAGVIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ragvis.generator.int8_cache._WORTH_IT", 0)
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache" / "int8"


def test_small_8_bit_weights_are_not_kept(
    folder_of: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGVIS_CACHE", str(tmp_path / "cache"))
    eight_bit(folder_of("llava_1_5"), [])
    assert not (tmp_path / "cache").exists()


def test_8_bit_weights_of_what_is_gone_go(tmp_path: Path, int8_cache: Path) -> None:
    folders = [checkpoints.llava_1_5(tmp_path / name) for name in ("one", "two")]
    eight_bit(str(folders[0]), [])
    shutil.rmtree(folders[0])
    eight_bit(str(folders[1]), [])
    assert len(list(int8_cache.glob("*/complete.json"))) == 1


@pytest.mark.parametrize("family", ["llava_1_5", "onevision"])
def test_8_bit_weights_are_quantized_once(
    folder_of: Callable[[str], str],
    family: str,
    int8_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second time the 16-bit ones are not read; the answers are the same."""
    said: list[str] = []
    first = eight_bit(folder_of(family), said)
    assert len(said) == 1 and "keeping the 8-bit weights" in said[0]
    monkeypatch.setattr(loading, "_whole_model", pytest.fail)
    again = eight_bit(folder_of(family), said)
    assert len(said) == 1 and not (again._model.training)
    shot = noise(120, 90)
    with torch.inference_mode():
        one, two = (m._model(**m.inputs("<image>\nHi", [shot])).logits for m in (first, again))
    assert torch.equal(one, two)
    assert list(again.stream("<image>\nHi", [shot], SHORT)) == list(
        first.stream("<image>\nHi", [shot], SHORT)
    )


@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-3] + b"abc"),
        lambda file: file.write_bytes(b""),
        lambda file: file.unlink(),
        lambda file: (file.parent / "complete.json").write_text("{}"),
        lambda file: (file.parent / "complete.json").write_text("nonsense"),
        lambda file: (file.parent / "complete.json").write_text('{"sha256": []}'),
        lambda file: _without(file.parent / "complete.json", "same"),
        lambda file: _without(file.parent / "complete.json", "generation"),
    ],
)
def test_damaged_8_bit_weights_are_made_anew(
    folder_of: Callable[[str], str],
    int8_cache: Path,
    harm: Callable[[Path], Any],
) -> None:
    eight_bit(folder_of("llava_1_5"), [])
    (file,) = (int8_cache).glob("*/000.safetensors")
    whole = file.read_bytes()
    harm(file)
    said: list[str] = []
    eight_bit(folder_of("llava_1_5"), said)
    assert "keeping" in said[-1]
    eight_bit(folder_of("llava_1_5"), said)
    assert "keeping" in said.pop() and len(said) <= 1  # nothing is said where it is whole
    assert file.read_bytes() == whole
    assert len(list((int8_cache).iterdir())) == 2  # it and the lock


def _without(file: Path, name: str) -> None:
    known = json.loads(file.read_text())
    del known[name]
    file.write_text(json.dumps(known))


def test_what_8_bit_weights_were_made_of_has_a_part_in_their_name(
    tmp_path: Path, int8_cache: Path
) -> None:
    """Other settings with the same weights are another model."""
    folder = checkpoints.llava_1_5(tmp_path / "model")
    said: list[str] = []
    eight_bit(str(folder), said)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["rope_parameters"] = {"rope_type": "default", "rope_theta": 77.0}
    (folder / "config.json").write_text(json.dumps(config))
    eight_bit(str(folder), said)
    assert len(said) == 2
    model = eight_bit(str(folder), said)._model
    assert len(said) == 2
    assert model.config.text_config.rope_parameters["rope_theta"] == 77.0


def test_tied_weights_stay_one(tmp_path: Path, int8_cache: Path) -> None:
    folder = checkpoints.llava_1_5(tmp_path / "model")
    whole = AutoModelForImageTextToText.from_pretrained(folder)
    for config in (whole.config, whole.config.text_config):
        config.tie_word_embeddings = True
    whole.tie_weights()
    whole.save_pretrained(folder)
    said: list[str] = []
    models = [eight_bit(str(folder), said)._model for _ in range(2)]
    assert len(said) == 1
    for model in models:
        assert model.lm_head.weight is model.get_input_embeddings().weight


def test_a_library_s_own_disk_trouble_costs_the_cache_alone(
    folder_of: Callable[[str], str], int8_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("ragvis.generator.int8_cache.save_file", full)
    said: list[str] = []
    eight_bit(folder_of("llava_1_5"), said)
    assert "are not kept: No space left" in said[-1]
    assert [file.name for file in int8_cache.iterdir()] == ["lock"]


def test_8_bit_weights_of_another_checkpoint_are_another_s(
    tmp_path: Path, int8_cache: Path
) -> None:
    """Where a folder's weights were replaced, what was kept of the old ones goes."""
    said: list[str] = []
    folder = checkpoints.llava_1_5(tmp_path / "model")
    eight_bit(str(folder), said)
    weights = next(folder.glob("*.safetensors"))
    state = {name: part + 0.01 for name, part in load_file(weights).items()}
    save_file(state, weights, {"format": "pt"})
    eight_bit(str(folder), said)
    assert len(said) == 2
    assert len(list(int8_cache.glob("*/complete.json"))) == 1


def test_a_full_disk_costs_the_cache_and_not_the_answer(
    folder_of: Callable[[str], str], int8_cache: Path
) -> None:
    (int8_cache).write_text("in the way")
    said: list[str] = []
    model = eight_bit(folder_of("llava_1_5"), said)
    list(model.stream("Hi", [], SHORT))
    assert model.usage.completion_tokens >= 1
    assert len(said) == 1 and "are not kept" in said[0]


def test_int8_rows_are_bitsandbytes_own() -> None:
    weight = torch.randn(33, 70)
    weight[3] = 0
    quantized, scale = int8.quantize_rows(weight)
    assert quantized.dtype == torch.int8 and quantized.abs().max() == 127
    assert (quantized * scale[:, None] - weight).abs().max() <= scale.max() / 2 + 1e-6
    theirs, absmax, _ = bitsandbytes.functional.int8_vectorwise_quant(weight.half())
    assert torch.allclose(absmax / 127, scale, rtol=1e-3)
    assert (theirs.int() - quantized.int()).abs().max() <= 1  # they round a float16


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
def test_the_kernels() -> None:
    """On a GPU where there is one, else in Triton's interpreter, which takes its time."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if not torch.cuda.is_available():
        env["TRITON_INTERPRET"] = "1"
    command = [sys.executable, str(Path(__file__).with_name("int8_child.py"))]
    checks = [
        subprocess.Popen([*command, what], stdout=PIPE, stderr=PIPE, text=True, env=env)
        for what in ("products", "stack", "decoder")
    ]
    said = [check.communicate() for check in checks]
    for out, error in said:
        assert out.strip() == "equal", error


SHAPES = [(32, 32, 128), (14, 2, 64), (2, 1, 32)]  # heads, those of keys, and their width


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is for Linux")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_a_gpu(capability: int) -> None:
    """What the interpreter allows a GPU may not; all that LLaVA's language models need is
    compiled, and fits into the shared memory of the smallest of these, without one."""
    target = GPUTarget("cuda", capability, 32)
    for kernel, numbers, missing, options in needed():
        types = {name: TYPES.get(name, "*fp16") for name in kernel.arg_names}
        types |= dict.fromkeys([*numbers, *missing], "constexpr")
        known = numbers | dict.fromkeys(missing)
        aligned = [n for n, kind in types.items() if kind[0] == "*" or n in MULTIPLES]
        divisible = {(kernel.arg_names.index(n),): [["tt.divisibility", 16]] for n in aligned}
        source = ASTSource(kernel, types, constexprs=known, attrs=divisible)
        compiled = triton.compile(source, target=target, options=options)
        assert compiled.metadata.shared <= 99 * 1024, (kernel, numbers)


def needed() -> Iterator[tuple[Any, dict[str, Any], list[str], dict[str, int]]]:
    """Each kernel with its numbers, what it is not given, and how it is launched."""
    lone = ["second", "second_scale", "bias"]
    for out, width, missing, adds in (
        (12288, 4096, ["second", "second_scale"], False),
        (4096, 4096, [*lone, "norm"], True),
        (11008, 4096, ["bias"], False),
        (4864, 896, ["bias"], False),
        (4096, 11008, [*lone, "norm"], True),
    ):
        even = {"EVEN": width % 1024 == 0, "ADD": adds}
        rows, columns, warps = int8_launch.one_row_shape(width, "second" not in missing, False)
        shape = {"ROWS": rows, "COLUMNS": columns, **even}
        yield int8_kernels.one_row, shape, missing, {"num_warps": warps}
        for count in (16, int8_launch.FEW):
            rows, columns, warps, stages = int8_launch.few_rows_shape(count, out)
            shape = {"COUNT": count, "ROWS": rows, "COLUMNS": columns, **even}
            options = {"num_warps": warps, "num_stages": stages}
            yield int8_kernels.few_rows, shape, [m for m in missing if m != "norm"], options
    head = {"ROWS": 8, "COLUMNS": 1024, "EVEN": True, "ADD": False}
    yield int8_kernels.one_row, head, [*lone, "scale"], {"num_warps": 8}
    yield int8_kernels.dequantize, {"COLUMNS": 4096}, [], {"num_warps": 4}
    yield int8_kernels.normalize, {"COLUMNS": 4096}, [], {"num_warps": 8}
    for heads, groups, dim in SHAPES:
        shape = {"HEADS": heads, "DIM": dim}
        yield int8_kernels.rotate, {**shape, "GROUPS": groups}, [], {"num_warps": 1}
        own = {**shape, "CHUNK": 512}
        yield int8_kernels.attend, {**own, "GROUPS": groups, "BLOCK": 64}, [], {}
        yield int8_kernels.combine, {**own, "SPLITS": 16}, [], {}


MULTIPLES = ("out", "width", "length")  # of 16
TYPES = {
    "weight": "*i8",
    "second": "*i8",
    **dict.fromkeys(["scale", "second_scale", "cosines", "sines", "sums", "tops"], "*fp32"),
    "weights": "*fp32",
    "positions": "*i32",
    **dict.fromkeys(["out", "width", "count", "first", "length", "splits"], "i32"),
    **dict.fromkeys(["eps", "scaling"], "fp32"),
}
