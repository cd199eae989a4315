"""The recipe of pocket: its data, its stages at a small size, and what comes out of them."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import pytest
import torch
from conftest import DEMO, ROOT
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from PIL import Image
from safetensors.torch import load_file, save_file
from test_pocket_data import THINGS
from transformers import (
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.models.siglip import SiglipImageProcessorPil

from ragvis import generator
from ragvis._quiet import quiet
from ragvis.conversation import TEMPLATES, find_template
from ragvis.errors import ModelError, UsageError
from ragvis.generator import Sampling
from ragvis.models import pocket
from scripts.pocket import (
    conversations,
    finish,
    instructions,
    parts,
    pictures,
    smoke,
)
from scripts.pocket.branches import Sheaf, gather, packed
from scripts.pocket.card import card
from scripts.pocket.conversations import IGNORED, Conversation
from scripts.pocket.loop import Plan, train
from scripts.pocket.photographs import measure
from scripts.pocket.stages import (
    CONNECTOR,
    LORA,
    Data,
    Trainee,
    read_connector,
    stage_1,
    stage_2,
)

CARD = ROOT / "ragvis" / "models" / "weights" / "MODEL_CARD.md"
WRITTEN = sorted(set(TEMPLATES) - {"plain", "served", "v0"})  # v0 opens with answers of its own


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, pocket_folder: Any) -> smoke.Outcome:
    """All stages, once."""
    return smoke.run(tmp_path_factory.mktemp("recipe"))


def test_every_stage_learns(small: smoke.Outcome) -> None:
    for losses in (small.tower, small.photographs, small.stage_1, small.stage_2):
        assert sum(losses[-5:]) < 0.95 * sum(losses[:5])
    assert small.recall["pictures"] >= 4
    assert 0 <= small.recall["recall@1"] <= small.recall["recall@5"] <= 1


def test_what_comes_out_is_a_checkpoint_like_any_other(small: smoke.Outcome) -> None:
    model = generator.load(str(small.model), pytest.fail)  # type: ignore[arg-type]
    assert model.spec.template == "pocket"
    picture = Image.open(DEMO / "images" / "flag-italy.jpg").convert("RGB")
    prompt = "<|im_start|>user\n<image>\nWhat is this?<|im_end|>\n<|im_start|>assistant\n"
    list(model.stream(prompt, [picture], Sampling(max_new_tokens=4)))
    assert model.usage.prompt_tokens == model.spec.count(prompt) + 16 - 1  # 64 px, patches of 16
    assert AutoModelForImageTextToText.from_pretrained(small.model).config.model_type == "llava"


def test_the_merged_model_is_the_trained_one(small: smoke.Outcome) -> None:
    """Merging the LoRA changes what the language model holds, and nothing of the tower."""
    base = AutoModelForImageTextToText.from_pretrained(small.model.parent / "base").state_dict()
    done = AutoModelForImageTextToText.from_pretrained(small.model).state_dict()
    changed = {name for name in base if not torch.equal(base[name], done[name])}
    assert any("multi_modal_projector" in name for name in changed)
    assert any("q_proj" in name and "language_model" in name for name in changed)
    assert not any("vision_tower" in name or "embed_tokens" in name for name in changed)


def test_measures_and_transcripts_are_written(small: smoke.Outcome) -> None:
    folder = small.model.parent / "measured"
    assert json.loads((folder / finish.METRICS).read_text()) == small.metrics
    shares: Any = small.metrics["right"]
    assert all(0 <= s["low"] <= s["share"] <= s["high"] <= 1 for s in shares.values())
    assert (folder / finish.TRANSCRIPTS).read_text().count("Wanted: ") == 10


def test_an_encoder_is_measured_on_what_was_held_out(small: smoke.Outcome) -> None:
    found = measure(small.model.parent / "pictures" / pictures.LISTED)
    assert found["captions"] <= found["pictures"] == small.recall["pictures"]
    assert all(0 <= found[way][0] <= found[way][1] <= 100 for way in ("i2t", "t2i"))
    assert json.loads(json.dumps(found)) == found and 0 <= found["right"] <= 100


def test_a_package_says_what_is_in_it(small: smoke.Outcome, tmp_path: Path) -> None:
    work = small.model.parent
    out, listed = tmp_path / "out", work / "pictures" / pictures.LISTED
    parts = (work / "tower", work / "photographs", work / "stage2")
    finish.package(*parts, small.metrics, listed, out)
    facts = json.loads((out / "pocket.json").read_text())
    connector = (out / CONNECTOR).read_bytes()
    mapped = (out / "photographs" / "model.safetensors").read_bytes()
    assert facts["photo_head"]["sha256"] == hashlib.sha256(mapped).hexdigest()
    assert facts["connector"]["sha256"] == hashlib.sha256(connector).hexdigest()
    assert facts["training_data"]["images"] == {
        "npm:@iconify-json/shapes@1": {"images": 60, "licences": ["CC0-1.0"]}
    }
    text = card(facts)
    assert "naming: new thing" in text and "photographs**: not measured" in text
    assert "npm:@iconify-json/shapes@1: ragvis (CC0-1.0)" in text
    with pytest.raises(UsageError, match="already"):
        finish.package(*parts, {}, listed, out)
    assert facts["language_model"] == pocket.recipe()["language_model"]
    assert set(facts) == set(pocket.recipe())


@pytest.mark.parametrize("template", ["vicuna_v1", "plain"])
def test_llava_s_own_parts_and_layout(template: str, tmp_path: Path) -> None:
    """LLaVA-1.5's shape: both stages, and a LoRA that ragvis merges by itself."""
    base = checkpoints.llava_1_5(tmp_path / "base")
    rows = [
        {
            "id": "one",
            "image": "flag-italy.jpg",
            "conversations": [
                {"from": "human", "value": "What is this?\n<image>"},
                {"from": "gpt", "value": "The flag of Italy."},
            ],
        }
    ]
    data = tmp_path / "data.json"
    data.write_text(json.dumps(rows))
    taught = Data(conversations.read(data, DEMO / "images"), template, budget=1300)
    losses = stage_1(base, taught, Plan(6, 1e-2), tmp_path / "one")
    assert losses[-1] < losses[0]
    connector = tmp_path / "one" / CONNECTOR
    losses = stage_2(base, taught, Plan(6, 1e-2), tmp_path / "two", connector, rank=4)
    assert losses[-1] < losses[0]
    finish.export(base, tmp_path / "two", tmp_path / "done")
    before, after = (
        generator.load(str(folder), print, quantize="none").model  # type: ignore[attr-defined]
        for folder in (base, tmp_path / "done")
    )
    name = "model.language_model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(before.get_parameter(name), after.get_parameter(name))
    with pytest.raises(ModelError, match="another model"):  # it is the language model's alone
        generator.load(f"{base}+{tmp_path / 'two' / LORA}", print)


@pytest.mark.parametrize("template", ["pocket", "qwen_1_5"])
def test_a_siglip_tower(template: str, tmp_path: Path) -> None:
    shape = SiglipVisionConfig(
        **checkpoints.SIZES,
        num_hidden_layers=2,
        image_size=32,
        patch_size=16,
        vision_use_head=False,
    )
    SiglipVisionModel(shape).save_pretrained(tmp_path / "eyes")
    SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "eyes")
    language = LlamaForCausalLM(LlamaConfig(**checkpoints.WORDS, vocab_size=600))
    language.save_pretrained(tmp_path / "words")
    checkpoints._qwen_tokenizer().save_pretrained(tmp_path / "words")
    eyes, words = str(tmp_path / "eyes"), str(tmp_path / "words")
    parts.assemble(eyes, words, template, tmp_path / "whole")
    model = generator.load(str(tmp_path / "whole"), print, template=template)
    picture = Image.new("RGB", (50, 40), "red")
    list(model.stream("<image>\nWhat?", [picture], Sampling(max_new_tokens=2)))
    assert model.usage.prompt_tokens == model.spec.count("<image>\nWhat?") + 4 - 1
    with pytest.raises(UsageError, match="no image tower"):
        parts.assemble(words, words, template, tmp_path / "none")
    with pytest.raises(ModelError, match="nowhere"):
        parts.assemble("nowhere/none", words, template, tmp_path / "none")


def test_a_stopped_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    def begun() -> tuple[torch.nn.Parameter, Callable[[int], torch.Tensor]]:
        torch.manual_seed(0)
        learned = torch.nn.Parameter(torch.randn(8))
        return learned, lambda step: ((learned - torch.randn(8)) ** 2).sum() + 0 * step

    whole, loss_of = begun()
    train([whole], loss_of, Plan(20, 0.1), tmp_path / "whole", str)
    stopped, loss_of = begun()

    def break_off(step: int) -> torch.Tensor:
        if step == 12:
            raise KeyboardInterrupt
        return loss_of(step)

    with pytest.raises(KeyboardInterrupt):
        train([stopped], break_off, Plan(20, 0.1, every=0), tmp_path / "stopped", str)
    again, loss_of = begun()
    rest = train([again], loss_of, Plan(20, 0.1), tmp_path / "stopped", str)
    assert len(rest) == 8 and torch.equal(again, whole)
    with pytest.raises(UsageError, match="another run"):
        train([again], loss_of, Plan(30, 0.1), tmp_path / "stopped", str, of="other data")


words = st.text("abcdefgh .,?", min_size=1, max_size=30).map(str.strip).filter(bool)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokens")
    return AutoTokenizer.from_pretrained(checkpoints.onevision(folder))


@pytest.mark.parametrize("template", WRITTEN)
@given(turns=st.lists(st.tuples(words, words), min_size=1, max_size=3))
def test_answers_alone_are_learned(
    template: str, tokenizer: Any, turns: list[tuple[str, str]]
) -> None:
    messages = [
        {"role": role, "content": text}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    one = Conversation("x", (), tuple(messages))
    text, spans = conversations.written(one, template)
    assert len(spans) == len(turns)
    stops = find_template(template).stop
    for (start, end), (_, answer) in zip(spans, turns, strict=True):
        assert text[start:end].strip().startswith(answer)
        assert not stops or text[start:end].endswith(stops)
    encoded = conversations.encode(one, template, tokenizer, 5, 10_000)
    assert encoded is not None and len(encoded.ids) == len(encoded.labels)
    learned = [i for i in encoded.labels if i != IGNORED]
    spoken, wanted = tokenizer.decode(learned), "".join(text[a:b] for a, b in spans)
    assert "".join(spoken.split()) == "".join(wanted.split())


def test_pictures_are_widened_and_never_learned(tokenizer: Any) -> None:
    messages = (
        {"role": "user", "content": "<image>\nWhat?"},
        {"role": "assistant", "content": "A"},
    )
    one = Conversation("x", (Path("a.png"),), messages)
    encoded = conversations.encode(one, "vicuna_v1", tokenizer, 5, 10_000)
    assert encoded is not None
    image = tokenizer.convert_tokens_to_ids("<image>")
    assert encoded.ids.count(image) == 5
    assert {encoded.labels[i] for i, t in enumerate(encoded.ids) if t == image} == {IGNORED}
    assert conversations.encode(one, "vicuna_v1", tokenizer, 5, 20) is None


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "nonsense",
        '[{"conversations": [{"from": "nobody", "value": "x"}]}]',
        '[{"image": "a.png", "conversations": [{"from": "human", "value": "no place"}]}]',
        '[{"conversations": [{"from": "human", "value": "<image>"}]}]',
        "[3]",
    ],
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(text)
    if text == "{}":
        assert conversations.read(file) == []
        return
    with pytest.raises(UsageError, match=r"data\.json"):
        conversations.read(file)


def test_together_they_are_learned_as_one_by_one(small: smoke.Outcome) -> None:
    """The same loss, and the same gradient of the connector."""
    trainee = Trainee(small.model)
    trainee.connector.requires_grad_(True)
    rows = instructions.Maker(THINGS, 2)
    page = next(page for page in iter(lambda: rows.page("which"), None) if len(page) > 2)
    folder = small.model.parent / "things"
    folder.mkdir(exist_ok=True)
    for n, (name, _) in enumerate(THINGS):
        Image.new("RGB", (32, 32), (40 * n, 255 - 30 * n, 90)).save(folder / name)
    (folder / "page.json").write_text(json.dumps(page))
    size = len(trainee.encoded(Data(conversations.read(folder / "page.json"), "pocket"))[0].ids)
    read = conversations.read(folder / "page.json")
    tokenizer = trainee.processor.tokenizer
    encoded = [conversations.encode(one, "pocket", tokenizer, 16, 4096) for one in read]
    found = [one for one in encoded if one is not None]
    image = trainee.processor.image_token_id
    alone, together = (gather(found, longest, image) for longest in (1, 10 * size))
    rows = packed(alone, 3 * size)
    assert [len(some) for some in (alone, together)] == [len(page), 1] and len(rows) < len(page)
    first, *others = (_learned(trainee, some) for some in (alone, together, rows))
    for other in others:
        assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(first, other, strict=True))


def _learned(trainee: Trainee, some: list[Sheaf]) -> list[torch.Tensor]:
    """The loss, and the connector's gradient."""
    trainee.model.zero_grad()
    loss = trainee.loss(some)
    loss.backward()  # type: ignore[no-untyped-call]
    return [loss.detach(), *(p.grad.clone() for p in trainee.connector.parameters())]


def test_the_card_is_that_of_the_weights_and_names_every_source() -> None:
    """Written by `python -m scripts.pocket card`."""
    facts = pocket.recipe()
    text = CARD.read_text("utf-8")
    assert text == card(facts)
    assert text.index("What it cannot do") < text.index("What it is") < text.index("Figures")
    for name, about in facts["training_data"]["images"].items():
        assert name in text and all(licence in text for licence in about["licences"])


def test_a_lora_can_be_gone_on_with(small: smoke.Outcome, tmp_path: Path) -> None:
    left = small.model.parent / "stage2" / LORA
    trainee = Trainee(small.model.parent / "base")
    begun = trainee.add_lora(3, left).learned
    held = load_file(left / "adapter_model.safetensors")
    assert sum(p.numel() for p in begun) == sum(part.numel() for part in held.values())
    sums = sorted(float(p.detach().half().float().sum()) for p in begun)
    assert sums == pytest.approx(
        sorted(float(part.float().sum()) for part in held.values()), abs=0.01
    )
    other = tmp_path / "other"
    shutil.copytree(left, other)
    save_file({f"x{k}": v for k, v in held.items()}, other / "adapter_model.safetensors")
    for wrong in (other, tmp_path / "nowhere", tmp_path):
        with pytest.raises(UsageError, match="no LoRA of this model"):
            Trainee(small.model.parent / "base").add_lora(3, wrong)


def test_a_lora_in_the_weights_is_what_peft_makes_of_it(small: smoke.Outcome) -> None:
    left = small.model.parent / "stage2" / LORA
    trainee = Trainee(small.model.parent / "base")
    language = copy.deepcopy(trainee.model.model.language_model)
    trainee.add_lora(3, left)
    whole = LlamaForCausalLM(trainee.model.config.get_text_config())
    whole.model.load_state_dict(language.state_dict())
    with quiet():
        theirs = PeftModel.from_pretrained(whole, str(left)).eval()
    ids = torch.arange(24)[None]
    with torch.no_grad():
        ours = trainee.model.model.language_model.eval()(ids).last_hidden_state
        assert torch.allclose(ours, theirs.base_model.model.model(ids).last_hidden_state, atol=1e-5)


def test_wrong_files_and_numbers_are_refused_in_a_line(tmp_path: Path) -> None:
    cut = tmp_path / "state.pt"
    weight = torch.nn.Parameter(torch.ones(2))
    train([weight], lambda step: weight.sum(), Plan(1, 0.1), tmp_path, tell=str)
    for data in (cut.read_bytes()[:-90], b"", b"garbage"):
        cut.write_bytes(data)
        with pytest.raises(UsageError, match="damaged"):
            train([weight], lambda step: weight.sum(), Plan(2, 0.1), tmp_path, tell=str)
        with pytest.raises(UsageError, match="no connector"):
            read_connector(torch.nn.Linear(2, 2), cut)
    with pytest.raises(UsageError, match="no connector"):
        read_connector(torch.nn.Linear(2, 2), tmp_path / "nowhere")
    for rate in (float("nan"), 0.0, -1.0, 5.0):
        with pytest.raises(UsageError, match="learning rate"):
            Plan(1, rate)
    with pytest.raises(UsageError, match="no conversation"):
        finish.evaluate(tmp_path, [], tmp_path)


def test_a_card_of_copyleft_data_is_refused() -> None:
    facts = pocket.recipe()
    facts["training_data"]["images"]["deb:some"] = {"images": 1, "licences": ["GPL-2.0"]}
    with pytest.raises(UsageError, match="GPL"):
        card(facts)
