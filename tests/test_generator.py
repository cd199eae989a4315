"""One generator for every LLaVA-family architecture. The weights are random, the words noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import peft
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from test_composer import ATTACKS, make_hit

from ragvis import conversation, generator
from ragvis._quiet import quiet
from ragvis.composer import Attachment, Room, compose
from ragvis.errors import ModelError, ModelUnavailable, UsageError
from ragvis.generator import Sampling
from ragvis.generator.decode import Decoder
from ragvis.generator.loading import KEPT_WHOLE, check_engine
from ragvis.generator.streams import StopText
from ragvis.models import hub

SHORT = Sampling(max_new_tokens=6)
TEMPLATE = {
    "llava_1_5": "vicuna_v1",
    "llava_next_mistral": "mistral_instruct",
    "onevision": "qwen_1_5",
    "interleave": "qwen_1_5",
}


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("family", sorted(checkpoints.FAMILIES))
@pytest.mark.parametrize("pictures", [0, 1, 2])
def test_the_ledger_counts_what_enters(
    load: Callable[..., Any], family: str, pictures: int
) -> None:
    model = load(family)
    assert model.family.template == TEMPLATE[family]
    shots = [noise(200 + 90 * i, 160, i) for i in range(pictures)]
    attached = [Attachment(make_hit(i, "image", None), shot.size) for i, shot in enumerate(shots)]
    composed = compose("What is it?", [make_hit(9)], attached, {}, model.spec, Room(answer=6))
    list(model.stream(composed.prompt, shots, SHORT))
    assert model.usage.prompt_tokens == composed.ledger.total
    assert 1 <= model.usage.completion_tokens <= 6


@pytest.mark.parametrize("family", sorted(checkpoints.FAMILIES))
@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_meet_the_real_tokenizer(
    load: Callable[..., Any], family: str, attack: str
) -> None:
    """Special tokens in the ids, image tokens among them, are those of a harmless text."""
    model = load(family)
    special = model._tokenizer.all_special_ids

    def counts(text: str) -> list[int]:
        hits = [make_hit(1, text=text, title=text, path=text)]
        prompt = compose(text, hits, [], {}, model.spec).prompt
        ids = model._tokenizer(prompt, add_special_tokens=model._add_special).input_ids
        return [ids.count(i) for i in special]

    assert counts(attack) == counts("calm")


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
@pytest.mark.parametrize("family", ["llava_1_5", "onevision"])
def test_quantized_by_bitsandbytes_on_the_cpu(
    load: Callable[..., Any], family: str, quantize: str
) -> None:
    model = load(family, quantize, "bitsandbytes" if quantize == "8bit" else None)
    modules = dict(model._model.named_modules())
    kinds = {name: type(module).__name__ for name, module in modules.items()}
    wanted = "Linear8bitLt" if quantize == "8bit" else "Linear4bit"
    language = [k for n, k in kinds.items() if "language_model" in n and n.endswith("_proj")]
    assert set(language) == {wanted}
    kept = [k for n, k in kinds.items() if n.startswith(tuple(KEPT_WHOLE))]
    assert wanted not in kept and "Linear" in kept
    prompt = conversation.render(
        model.spec.template,
        [
            {"role": "user", "content": conversation.image_first("What?")},
            {"role": "assistant", "content": None},
        ],
    )
    shot = noise(120, 90)
    list(model.stream(prompt, [shot], SHORT))
    assert model.usage.completion_tokens >= 1
    assert model.info.quantization == quantize
    whole = load(family)
    with torch.inference_mode():
        rows = [m._model(**m.inputs(prompt, [shot])).logits[0, -1].float() for m in (model, whole)]
    # the same model but for rounding: random weights leave 4 bits less agreement
    assert torch.cosine_similarity(*rows, dim=0) > (0.99 if quantize == "8bit" else 0.9)


@pytest.mark.parametrize("family", sorted(checkpoints.FAMILIES))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"repetition_penalty": "1.3"},
        {"temperature": "1.2", "top_k": "20", "top_p": "0.9", "seed": "3"},
    ],
)
def test_our_decoder_writes_what_generate_writes(
    load: Callable[..., Any], family: str, options: dict[str, str]
) -> None:
    model = load(family)
    inputs = model.inputs("<image>\nWhat is it?", [noise(200, 160)])
    sampling = Sampling.of({"max_new_tokens": "12", **options})
    expected = model._generate(inputs, sampling).tolist()
    decoder = Decoder(model._model, model.image_token)
    for _ in range(2):  # the second time with a used cache
        pictures = model._features.of(inputs)
        ids = inputs["input_ids"]
        tokens = decoder.tokens(ids, pictures, sampling, model._ends())
        written = list(tokens)
        assert written == expected[: len(written)]
        assert len(written) == 12 or expected[len(written)] in model._ends()


@pytest.mark.parametrize("family", ["llava_1_5", "onevision"])
def test_a_cache_that_grows_keeps_what_it_holds(
    load: Callable[..., Any], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragvis.generator.decode._BUCKET", 32)
    model, sampling = load(family), Sampling.of({"max_new_tokens": "4"})

    def written(decoder: Decoder, prompt: str) -> list[int]:
        ids = model.inputs(prompt, [])["input_ids"]
        return list(decoder.tokens(ids, [], sampling, model._ends()))

    grown = Decoder(model._model, model.image_token)
    written(grown, "What is it?")
    longer = "What is it? " + "And of the numbered sources? " * 9
    again = written(grown, longer)
    assert grown.reused > 3
    assert again == written(Decoder(model._model, model.image_token), longer)


@pytest.mark.parametrize(
    ("capability", "engine"), [((7, 5), "bitsandbytes"), ((8, 6), "int8"), (None, "int8")]
)
def test_a_gpu_too_old_for_our_kernels_has_the_other_engine(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None, engine: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr("ragvis.generator.int8_launch.find_spec", lambda _: "found")
    assert check_engine(None, "8bit") == engine
    assert check_engine("int8", "8bit") == "int8"


def test_engines_are_for_8bit(folder_of: Callable[[str], str]) -> None:
    for options in ({"quantize": "4bit", "engine": "int8"}, {"quantize": "8bit", "engine": "x"}):
        with pytest.raises(UsageError, match="engine"):
            generator.load(folder_of("llava_1_5"), print, **options)


def official_preprocessing(picture: Image.Image, side: int) -> Any:
    """LLaVA's expand2square and CLIPImageProcessor, written out with PIL and numpy."""
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    std = np.array([0.26862954, 0.26130258, 0.27577711])
    width, height = picture.size
    large = max(width, height)
    square = Image.new("RGB", (large, large), tuple(int(x * 255) for x in mean))
    square.paste(picture, ((large - width) // 2, (large - height) // 2))
    small = square.resize((side, side), Image.Resampling.BICUBIC)
    return ((np.asarray(small) / 255.0 - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(640, 480), (200, 500), (336, 336), (37, 1000), (1001, 700)])
def test_pictures_are_padded_as_in_training(
    load: Callable[..., Any], size: tuple[int, int]
) -> None:
    picture = noise(*size)
    inputs = load("llava_1_5").inputs("<image>\nWhat?", [picture])
    ours = inputs["pixel_values"][0].numpy()
    assert ours.shape == (3, 336, 336)
    assert np.abs(ours - official_preprocessing(picture, 336)).max() < 1e-5


def test_sampling_options_and_seeds(load: Callable[..., Any]) -> None:
    model = load("llava_1_5")
    drawn = Sampling.of({"temperature": "1.5", "seed": "7", "max_new_tokens": "12"})
    before = torch.get_rng_state()
    first, again = ("".join(model.stream("Hi", [], drawn)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)  # others draw from it too
    other = "".join(model.stream("Hi", [], drawn.with_options({"seed": "8"})))
    assert first == again != other
    one, two = (Sampling(max_new_tokens=8, num_beams=n) for n in (1, 4))
    ids = model.inputs("Hi", [])
    assert len(model._generate(ids, two)) >= 1
    assert "".join(model.stream("Hi", [], one)) == model._whole(ids, one)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_p", 7),
        ("max_new_tokens", 2.5),
        ("temperature", None),
        ("temperature", float("nan")),
        ("num_beams", "2"),
        ("seed", "x"),
        ("seed", 2**70),
        ("seed", -1),
    ],
)
def test_sampling_is_checked_however_it_is_made(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=name):
        Sampling(**{name: value})


def test_whole_numbers_are_numbers() -> None:
    assert isinstance(Sampling(temperature=1).temperature, float)


@pytest.mark.parametrize(
    "options",
    [{"nope": "1"}, {"temperature": "hot"}, {"top_p": "2"}, {"max_new_tokens": "0"}, {"seed": ""}],
)
def test_bad_sampling_options(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Sampling.of(options)


def test_pieces_join_to_the_whole_answer_and_a_reader_may_leave(load: Callable[..., Any]) -> None:
    model = load("onevision")
    pieces = list(model.stream("Hi", [], Sampling(max_new_tokens=30)))
    inputs = model.inputs("Hi", [])
    assert "".join(pieces) == model._whole(inputs, Sampling(max_new_tokens=30))
    stream = model.stream("Hi", [], Sampling(max_new_tokens=3000))
    next(stream)
    stream.close()
    assert model.usage.completion_tokens < 3000


def test_stop_strings_end_an_answer_wherever_they_fall() -> None:
    def said(*pieces: str) -> str:
        stop = StopText(("###", "<|im_end|>"))
        return "".join([x for p in pieces for x in stop.feed(p)]) + "".join(stop.finish())

    assert said("An answer.###Human: more") == "An answer."
    assert said("An answer.#", "#", "# more") == "An answer."
    assert said("C# and ", "## is kept") == "C# and ## is kept"
    assert said("a<|im", "_end|>b") == "a"


def test_what_goes_wrong_in_the_model_reaches_the_reader(load: Callable[..., Any]) -> None:
    model = load("llava_1_5")
    with pytest.raises(ModelError):
        list(model.stream("<image>\n<image>\nTwo?", [], SHORT))


def test_a_lora_folder_is_merged(
    folder_of: Callable[[str], str], load: Callable[..., Any], tmp_path: Path
) -> None:
    base = load("llava_1_5")
    fresh = generator.load(folder_of("llava_1_5"), print, quantize="none")._model
    shape = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with quiet():
        adapted = peft.get_peft_model(fresh, shape)
        adapted.save_pretrained(str(tmp_path / "lora"))
    merged = generator.load(
        folder_of("llava_1_5"), print, quantize="none", lora=str(tmp_path / "lora")
    )
    assert not any("lora" in name for name, _ in merged._model.named_parameters())
    both = f"{folder_of('llava_1_5')}+{tmp_path / 'lora'}"
    plus = generator.load(both, print, quantize="none")
    with pytest.raises(UsageError, match="two LoRA folders"):
        generator.load(both, print, lora="another")
    with pytest.raises(UsageError, match="no LoRA folder"):
        generator.load(f"pocket+{tmp_path}", print)
    with pytest.raises(UsageError, match="after the"):
        generator.load("pocket+", print)
    with torch.inference_mode():
        inputs = base.inputs("Hi", [])
        expected = adapted(**inputs).logits
        for model in (merged, plus):
            assert torch.allclose(model._model(**inputs).logits, expected, atol=1e-4)
        assert not torch.allclose(base._model(**inputs).logits, expected, atol=1e-2)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("non_lora_trainables.bin", "base_model.model.model.mm_projector.2.bias"),
        ("non_lora_trainables.bin", "multi_modal_projector.linear_2.bias"),
        (
            "non_lora_trainables.safetensors",
            "base_model.model.model.multi_modal_projector.linear_2.bias",
        ),
    ],
)
def test_what_was_trained_beside_a_lora_goes_in_too(
    folder_of: Callable[[str], str], tmp_path: Path, written: str, name: str
) -> None:
    folder = _a_lora(folder_of("llava_1_5"), tmp_path)
    bias = torch.arange(64.0)
    save = save_file if written.endswith("safetensors") else torch.save
    save({name: bias}, folder / written)
    merged = generator.load(folder_of("llava_1_5"), print, quantize="none", lora=str(folder))
    assert torch.equal(merged._model.model.multi_modal_projector.linear_2.bias, bias)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"model.mm_projector.2.bias": torch.zeros(65)}, r"is \(65,\), and not \(64,\)"),
        ({"model.mm_projector.7.bias": torch.zeros(64)}, "projector.7.bias .* has no place"),
        ({"model.layers.99.norm": torch.zeros(64)}, "layers.99.norm .* has no place"),
        ({"odd": torch.zeros(1)}, "odd .* has no place"),
    ],
)
def test_what_does_not_fit_beside_a_lora_is_refused(
    folder_of: Callable[[str], str], tmp_path: Path, held: dict[str, torch.Tensor], said: str
) -> None:
    folder = _a_lora(folder_of("llava_1_5"), tmp_path)
    torch.save(held, folder / "non_lora_trainables.bin")
    with pytest.raises(ModelError, match=said):
        generator.load(folder_of("llava_1_5"), print, quantize="none", lora=str(folder))


def _a_lora(base: str, folder: Path) -> Path:
    model = generator.load(base, print, quantize="none")._model
    shape = peft.LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
    with quiet():
        peft.get_peft_model(model, shape).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda file: file.unlink(), "holds no weights"),
        (lambda file: save_file({}, file), "changes nothing|has no place"),
        (lambda file: file.write_bytes(b"garbage"), "cannot be loaded"),
        (
            lambda file: _renamed(file, "layers.0", "layers.70"),
            "layers.70.self_attn.* has no place",
        ),
        (lambda file: _renamed(file, "model", "module"), "module.* has no place"),
    ],
)
def test_a_lora_that_is_broken_or_another_models_is_refused(
    folder_of: Callable[[str], str], tmp_path: Path, harm: Callable[[Path], Any], said: str
) -> None:
    harm(_a_lora(folder_of("llava_1_5"), tmp_path) / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=said) as refused:
        generator.load(folder_of("llava_1_5"), print, lora=str(tmp_path))
    assert "LoRA" in str(refused.value) and "network" not in refused.value.hint


def _renamed(file: Path, old: str, new: str) -> None:
    state = {name.replace(old, new): part for name, part in load_file(file).items()}
    save_file(state, file)


def test_names_that_mean_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="neither a known name"):
        generator.load("no-such-model", print)
    with pytest.raises(UsageError, match="quantization"):
        generator.load("pocket", print, quantize="3bit")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelUnavailable, match="offline"):
        generator.load("llava-1.5-7b", print)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError):
        generator.load(str(tmp_path), print)


def test_original_names_mean_their_twins() -> None:
    from ragvis.models.registry import resolve_model

    assert resolve_model("liuhaotian/llava-v1.5-7b", print) == "llava-hf/llava-1.5-7b-hf"
    assert resolve_model("llava-1.5-13b", print) == "llava-hf/llava-1.5-13b-hf"
    assert resolve_model("someone/their-llava", print) == "someone/their-llava"


def test_a_template_can_be_chosen(folder_of: Callable[[str], str]) -> None:
    model = generator.load(folder_of("llava_1_5"), print, template="v0")
    assert model.spec.template == "v0"
    shaped = generator.load(folder_of("llava_1_5"), print, template="pocket")
    assert shaped._processor.image_processor.do_pad  # the words change, the pictures do not
    with pytest.raises(UsageError, match="template"):
        generator.load(folder_of("llava_1_5"), print, template="nope")


def test_a_stop_string_that_is_a_token_ends_an_answer_as_one(load: Callable[..., Any]) -> None:
    qwen, vicuna = load("onevision"), load("llava_1_5")
    assert qwen._stop_texts == [] and vicuna._stop_texts == []
    end = qwen._tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in qwen._ends()


def test_a_folder_s_weights_have_a_name(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    names = set()
    for data in (b"a" * 3_000_000, b"a" * 2_999_999 + b"b", b"a" * 3_000_001, b"short"):
        weights.write_bytes(data)
        names.add(hub.revision_of(tmp_path))
    trained = bytearray(b"a" * 30_000_000)  # both of its ends as they were
    for place in (None, 15_000_000):
        if place is not None:
            trained[place : place + 1_000_000] = b"b" * 1_000_000
        weights.write_bytes(trained)
        names.add(hub.revision_of(tmp_path))
    weights.rename(tmp_path / "another.safetensors")
    names.add(hub.revision_of(tmp_path))
    assert len(names) == 7 and all(name.startswith("local-") for name in names)
    assert hub.revision_of(tmp_path) in names
