"""Work that is not done twice gives what doing it again would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import checkpoints
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_generator import noise

from ragvis import generator
from ragvis.generator import Sampling
from ragvis.generator.reuse import Begun, Pictured, PictureFeatures, as_outputs
from ragvis.generator.reuse import from_position as later

MODELS = [*sorted(checkpoints.FAMILIES), "pocket"]
SHORT = Sampling(max_new_tokens=6)


@pytest.fixture(scope="module", params=MODELS)
def model(
    request: pytest.FixtureRequest, pocket_folder: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    if request.param == "pocket":
        return generator.load("pocket", print, quantize="none")
    folder = checkpoints.FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    return generator.load(str(folder), print, quantize="none")


@torch.inference_mode()
def logits(model: Any, prompt: str, pictures: Sequence[Any]) -> tuple[Any, int]:
    """After a prompt, going on from the last one; and the tokens that were known."""
    inputs = model.inputs(prompt, pictures)
    encoded = model._features.of(inputs)
    ids = inputs["input_ids"]
    cache, known = model._begin(ids[0].tolist(), encoded, SHORT)
    new = later(known, ids[0].tolist(), encoded, model.image_token)
    more = as_outputs(new, ids.device)
    out = model.model(input_ids=ids[:, known:], cache=cache, use_cache=True, **more)
    model._last.keep(cache, ids[0].tolist(), encoded)
    return out.logits[0, -1].float(), known


TURNS = [
    ("<image>\nWhat is in the picture?", (0,)),
    ("<image>\nWhat is in the picture? It is a hat. And its colour?", (0,)),
    ("<image>\nWhat is in the picture? It is a hat. And its colour? <image>\nAnd here?", (0, 1)),
    ("<image>\nWhat is in the picture? It is a hat.", (1,)),  # another picture
    ("<image>\nWhat is in the", (1,)),  # less than before
    ("And with no picture at all?", ()),
]


def test_logits_equal_those_of_a_whole_computation(model: Any) -> None:
    shots = [noise(200, 160, 0), noise(90, 300, 1)]
    model.forget()
    reused = []
    for prompt, which in TURNS:
        pictures = [shots[i] for i in which]
        found, known = logits(model, prompt, pictures)
        with torch.inference_mode():
            whole = model.model(**model.inputs(prompt, pictures)).logits[0, -1].float()
        assert torch.allclose(found, whole, atol=2e-4), (prompt, (found - whole).abs().max())
        reused.append(known)
    assert reused[1] > len(TURNS[0][0].split())
    assert reused[4] > reused[3]
    # OneVision shows one picture in tiles and several whole: beside another it is a new one
    assert reused[2] > 0 or model.family.template == "qwen_1_5"


def test_greedy_text_is_the_same(model: Any) -> None:
    shots = [noise(200, 160, 0), noise(90, 300, 1)]
    told, reused = [], 0
    for remember in (False, True):
        model.forget()
        said = []
        for prompt, which in TURNS:
            if not remember:
                model.forget()
            said.append("".join(model.stream(prompt, [shots[i] for i in which], SHORT)))
            reused = model.usage.reused_tokens
        told.append(said)
    assert told[0] == told[1]
    assert reused <= model.usage.prompt_tokens


def test_a_picture_is_encoded_once(model: Any) -> None:
    model.forget()
    shot = noise(200, 160, 0)
    for question in ("What?", "Where?", "Who?"):
        list(model.stream(f"{question} <image>\n", [shot], SHORT))
    assert model._features.encoded == 1
    list(model.stream("<image>\n", [noise(200, 160, 5)], SHORT))
    assert model._features.encoded == 2


def test_features_leave_when_there_is_no_room(model: Any) -> None:
    features = PictureFeatures(model._model, most=1)
    for seed in (0, 1, 0):
        with torch.inference_mode():
            features.of(model.inputs("<image>\n", [noise(60, 60, seed)]))
    assert features.encoded == 3


def test_beams_and_errors_leave_nothing_wrong_behind(model: Any) -> None:
    model.forget()
    shot = noise(200, 160, 0)
    prompt = "<image>\nWhat is it?"
    expected = "".join(model.stream(prompt, [shot], SHORT))
    list(model.stream(prompt, [shot], Sampling(max_new_tokens=4, num_beams=2)))
    reading = model.stream(f"{prompt} Then", [shot], SHORT)
    next(reading, None)
    reading.close()  # the reader leaves in the middle
    assert "".join(model.stream(prompt, [shot], SHORT)) == expected


@pytest.mark.parametrize("family", sorted(checkpoints.FAMILIES))
def test_our_decoder_goes_on_from_the_last_prompt(family: str, tmp_path: Path) -> None:
    folder = checkpoints.FAMILIES[family](tmp_path)
    load: Callable[..., Any] = generator.load
    model = load(str(folder), print, quantize="8bit", engine="int8")
    fresh = load(str(folder), print, quantize="8bit", engine="int8")
    shots = [noise(200, 160, 0), noise(90, 300, 1)]
    reused = []
    for prompt, which in TURNS:
        pictures = [shots[i] for i in which]
        fresh.forget()
        said = ["".join(m.stream(prompt, pictures, SHORT)) for m in (model, fresh)]
        assert said[0] == said[1]
        assert fresh.usage.reused_tokens == 0
        reused.append(model.usage.reused_tokens)
    assert (reused[1] > 0) == (family != "llava_next_mistral")  # its test shape slides


IMAGE = 9
token = st.sampled_from([1, 2, 3])


@given(st.data())
def test_what_is_shared_is_the_same_and_cuts_no_picture(data: st.DataObject) -> None:
    old, old_pictures = data.draw(prompts())
    new, new_pictures = data.draw(prompts())
    begun = Begun(old[: data.draw(st.integers(0, len(old)))], old_pictures)
    known = begun.shared(new, new_pictures, IMAGE)
    assert known < len(new) and new[:known] == begun.ids[:known]
    inside = len(new_pictures) - len(later(known, new, new_pictures, IMAGE))
    assert [p.key for p in new_pictures[:inside]] == [p.key for p in old_pictures[:inside]]
    assert new[:known].count(IMAGE) == sum(len(p.features) for p in new_pictures[:inside])


@st.composite
def prompts(draw: st.DrawFn) -> tuple[list[int], list[Pictured]]:
    """Token ids with pictures of one to three tokens among them."""
    ids: list[int] = []
    pictures = []
    for part in draw(st.lists(st.one_of(token, st.sampled_from(["a", "b", "c"])), min_size=1)):
        if isinstance(part, int):
            ids.append(part)
        else:
            size = " abc".index(part)
            pictures.append(Pictured(part, torch.zeros(size, 2)))
            ids += [IMAGE] * size
    return [*ids, 1], pictures
