"""Pictures kept as the answering model sees them, and one tower for index and model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checkpoints
import numpy as np
import open_clip
import pytest
import torch
from checkpoints import FAMILIES
from conftest import DEMO, run_command_line
from PIL import Image

import ragvis
from ragvis import generator
from ragvis.generator import Sampling
from ragvis.generator.sharing import share
from ragvis.generator.tower import PictureTower
from ragvis.index import Features, Index, store_features
from ragvis.models.clip_layout import to_open_clip, to_transformers
from ragvis.store.features import FEATURES, FeatureFile, Stored

FLAG = DEMO / "images" / "flag-italy.jpg"
QUESTIONS = [
    ("What is the capital of the country whose flag this is?", [FLAG]),
    ("Which tool grips a nut?", []),
    ("What does the picture of the Eiffel Tower show?", []),
]


def quiet(*_: object) -> None:
    """Progress and notices that nobody reads."""


@pytest.fixture(scope="module")
def kept(demo_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo index with its pictures as pocket sees them, made by the real command."""
    folder = tmp_path_factory.mktemp("kept") / "index"
    shutil.copytree(demo_index, folder)
    done = run_command_line("index", DEMO, "-i", folder, "--features", "-m", "pocket")
    assert done.exit_code == 0, done.stderr
    assert "47 pictures stored as pocket sees them, 0 were there, 0 dropped" in done.stdout
    return folder


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(kept, folder)
    return folder


def ask_all(folder: Path, tell: Callable[[str], None] = quiet) -> tuple[list[str], int]:
    """The answers, and how many pictures were encoded for them."""
    model = generator.load("pocket", quiet)
    with Index.open(folder) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), model, tell=tell)
        answers = [assistant.ask(question, images) for question, images in QUESTIONS]
    placed = [s.placed for answer in answers for s in answer.sources]
    assert placed.count("pixels") >= 2
    return [answer.text for answer in answers], model._features.encoded


def test_asking_encodes_no_picture_and_says_the_same(demo_index: Path, kept: Path) -> None:
    before, encoded = ask_all(demo_index)
    after, again = ask_all(kept)
    assert encoded >= 2 and again == 0
    assert before == after


def test_a_second_run_encodes_nothing_and_forgets_what_is_gone(tmp_path: Path) -> None:
    files, folder = tmp_path / "files", tmp_path / "index"
    files.mkdir()
    for name in ("flag-italy.jpg", "flag-japan.jpg"):
        shutil.copy(DEMO / "images" / name, files / name)
    options = ["-i", folder, "--encoder", "pocket", "--features", "-m", "pocket"]
    assert "2 pictures stored" in run_command_line("index", files, *options).stdout
    assert "0 pictures stored as pocket sees them, 2 were there" in (
        run_command_line("index", files, *options).stdout
    )
    (files / "flag-japan.jpg").unlink()
    (files / "flag-italy.jpg").rename(files / "moved.jpg")
    assert "0 pictures stored as pocket sees them, 1 were there, 1 dropped" in (
        run_command_line("index", files, *options).stdout
    )
    assert "features    1 pictures as pocket sees them" in (
        run_command_line("status", "-i", folder).stdout
    )


def test_it_goes_on_where_it_was_stopped(copy: Path, pocket_folder: Any) -> None:
    (copy / FEATURES).unlink()
    tower = PictureTower.load("pocket", quiet)

    def stop(done: int, of: int, name: str) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with Index.open(copy) as index:
        with pytest.raises(KeyboardInterrupt):
            store_features(index, tower, stop)
        report = store_features(index, tower, quiet)
    assert 8 <= report.kept <= 20 and report.kept + report.stored == 47


def test_a_damaged_file_costs_a_notice_and_is_made_anew(copy: Path, kept: Path) -> None:
    file = copy / FEATURES
    data = bytearray(file.read_bytes())
    for place in range(5000, len(data), 4096):
        data[place] ^= 1
    file.write_bytes(data)
    verified = run_command_line("status", "-i", copy, "--verify")
    assert verified.exit_code == 6 and FEATURES in verified.stdout
    told: list[str] = []
    answers, encoded = ask_all(copy, told.append)
    assert encoded >= 2 and answers == ask_all(kept)[0]
    assert len(told) == 1 and "encoded anew" in told[0]
    done = run_command_line("index", DEMO, "-i", copy, "--features", "-m", "pocket")
    assert "47 pictures stored" in done.stdout
    assert run_command_line("status", "-i", copy, "--verify").exit_code == 0
    assert ask_all(copy)[1] == 0


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_truncated_file_is_made_anew(copy: Path, size: int) -> None:
    file = copy / FEATURES
    file.write_bytes(file.read_bytes()[:size])
    assert Features(copy, quiet).get("any", "key") is None
    FeatureFile(copy).prepare("one", "name")
    assert FeatureFile(copy).contents("one") == set()


def test_pictures_that_are_not_what_was_indexed_are_left_out(copy: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name, colour in (("gone", "red"), ("other", "green"), ("same", "blue")):
        Image.new("RGB", (80, 80), colour).save(files / f"{name}.png")
    folder = tmp_path / "index"
    assert run_command_line("index", files, "-i", folder, "--encoder", "pocket").exit_code == 0
    (files / "gone.png").unlink()
    Image.new("RGB", (80, 80), "white").save(files / "other.png")
    with Index.open(folder) as index:
        report = store_features(index, PictureTower.load("pocket", quiet), quiet)
    assert report.stored == 1
    assert [Path(shown).name for shown in sorted(report.bad)] == ["gone.png", "other.png"]


def test_features_are_asked_for_rightly(tmp_path: Path, folder: Path) -> None:
    wrong = run_command_line("index", folder, "--features", "--watch", "-i", tmp_path / "x")
    assert wrong.exit_code == 2
    options = ["-i", tmp_path / "y", "--encoder", "pocket", "--features"]
    server = run_command_line("index", folder, *options, "-m", "openai:http://localhost:1/v1#x")
    assert server.exit_code == 2 and "server" in server.stderr
    unknown = run_command_line("index", folder, *options, "-m", "no-such-model")
    assert unknown.exit_code == 2 and not (tmp_path / "y").exists()  # before the long work


def test_one_report_of_both(tmp_path: Path, pocket_folder: Any) -> None:
    options = ["-i", tmp_path / "x", "--encoder", "pocket", "--features", "-m", "pocket"]
    flag = DEMO / "images" / "flag-italy.jpg"
    report = json.loads(run_command_line("index", flag, *options, "--json").stdout)
    assert report["added"] == report["features"]["stored"] == 1


def test_a_folder_in_the_place_of_the_file(copy: Path) -> None:
    (copy / FEATURES).unlink()
    (copy / FEATURES).mkdir()
    assert run_command_line("status", "-i", copy, "--verify").exit_code == 6
    options = ["-i", copy, "--features", "-m", "pocket"]
    refused = run_command_line("index", DEMO, *options)
    assert refused.exit_code == 1 and "is a folder. Move it away" in refused.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_finds_what_its_tower_stored(
    family: str, tmp_path: Path, folder: Path, make_index: Callable[..., Any]
) -> None:
    """The language model is not read for it, and is not there."""
    name = str(FAMILIES[family](tmp_path / "model"))
    tower = PictureTower.load(name, quiet)
    layers = tower._model.model.language_model.layers
    assert len(layers) == 0
    model = generator.load(name, quiet)
    index = make_index()
    index.add([folder])
    store_features(index, tower, quiet)
    prompt = "<image>\nWhat?"
    picture = Image.open(folder / "red.png").convert("RGB")
    alone = "".join(model.stream(prompt, [picture], Sampling(max_new_tokens=6)))
    assert model._features.encoded == 1  # type: ignore[attr-defined]
    fresh = generator.load(name, quiet)
    fresh.use(index.encoder, Features(index.path, quiet))
    assert "".join(fresh.stream(prompt, [picture], Sampling(max_new_tokens=6))) == alone
    assert fresh._features.encoded == 0  # type: ignore[attr-defined]
    index.close()


def test_one_tower_serves_index_and_model(tmp_path: Path) -> None:
    """LLaVA-1.5's shape, and an open_clip model whose tower has the same random weights."""
    model = generator.load(str(checkpoints.llava_1_5(tmp_path / "llava")), quiet)
    tower = model.model.model.vision_tower  # type: ignore[attr-defined]
    picture = Image.effect_noise((300, 200), 80).convert("RGB")
    features = model._features  # type: ignore[attr-defined]
    inputs = model.inputs("<image>", [picture])  # type: ignore[attr-defined]
    before = features.of(inputs)[0].features
    visual = same_tower(tower)
    total = sum(p.numel() * p.element_size() for p in tower.parameters())
    assert share(tower, visual) == total
    assert share(tower, visual) == 0  # there is nothing left to share
    held = {p.untyped_storage().data_ptr() for p in visual.parameters()}
    assert {p.untyped_storage().data_ptr() for p in tower.parameters()} <= held
    features.forget()
    assert torch.equal(features.of(inputs)[0].features, before)
    assert share(tower, None) == share(tower, torch.nn.Linear(2, 2)) == 0


def test_another_tower_is_left_alone(tmp_path: Path) -> None:
    model = generator.load(str(checkpoints.llava_1_5(tmp_path / "llava")), quiet)
    tower = model.model.model.vision_tower  # type: ignore[attr-defined]
    visual = same_tower(tower)
    with torch.no_grad():
        visual.conv1.weight.add_(0.5)  # as LLaVA-1.6 trained its tower on
    own = tower.get_parameter(
        next(n for n, _ in tower.named_parameters() if "patch_embedding" in n)
    )
    place = own.data_ptr()
    share(tower, visual)
    assert own.data_ptr() == place


def test_pockets_index_and_model_hold_one_tower(
    kept: Path, pocket_encoder: Any, pocket_folder: Any
) -> None:
    model = generator.load("pocket", quiet)
    tower = model.model.model.vision_tower  # type: ignore[attr-defined]
    with Index.open(kept) as index:
        assistant = ragvis.Assistant(ragvis.Retriever(index), model)
        assert assistant.ask("Which tool grips a nut?").text
        assert index.encoder.tower is None  # words alone need none
        assert assistant.ask("What is this?", DEMO / "images" / "tool-wrench.jpg").text
        held = {p.untyped_storage().data_ptr() for p in index.encoder.tower.parameters()}
    assert {p.untyped_storage().data_ptr() for p in tower.parameters()} <= held


def test_the_two_layouts_undo_one_another() -> None:
    visual = small_visual()
    state = dict(visual.named_parameters())
    back = to_open_clip(
        to_transformers(state, 2) | {"visual_projection.weight": state["proj"].T}, 2
    )
    assert sorted(back) == sorted(state)
    assert all(np.array_equal(back[n].detach(), state[n].detach()) for n in state)


def small_visual() -> Any:
    torch.manual_seed(1)
    return open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
        text_cfg={"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1},
    ).visual


def same_tower(tower: Any) -> Any:
    """An open_clip tower with a transformers tower's weights."""
    shape = tower.config
    visual = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={
            "image_size": shape.image_size,
            "layers": shape.num_hidden_layers,
            "width": shape.hidden_size,
            "head_width": shape.hidden_size // shape.num_attention_heads,
            "mlp_ratio": shape.intermediate_size / shape.hidden_size,
            "patch_size": shape.patch_size,
        },
        text_cfg={"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1},
    ).visual
    parts = dict(tower.named_parameters())
    projection = {"visual_projection.weight": torch.zeros(32, shape.hidden_size)}
    visual.load_state_dict(to_open_clip(parts | projection, shape.num_hidden_layers))
    return visual


def test_another_revision_takes_the_place_of_the_last(tmp_path: Path) -> None:
    file = FeatureFile(tmp_path)
    rows = np.zeros((2, 3), np.float16)
    for revision in ("one", "two"):
        file.prepare(revision, "m")
        file.add(revision, [Stored("content", "key", rows)])
    assert file.counts() == {"m": 1} and file.get("one", "key") is None
    found = file.get("two", "key")
    assert found is not None and np.array_equal(found, rows)


def test_damage_that_a_writer_meets_is_mended(tmp_path: Path, pocket_folder: Any) -> None:
    files = tmp_path / "files"
    shutil.copytree(DEMO, files)
    folder = tmp_path / "index"
    options = ["-i", folder, "--encoder", "pocket", "--features", "-m", "pocket"]
    assert run_command_line("index", files, *options).exit_code == 0
    file = folder / FEATURES
    data = bytearray(file.read_bytes())
    for place in range(300_000, len(data), 50_000):
        data[place] ^= 1
    file.write_bytes(data)
    for gone in (files / "images").glob("animal-*"):
        gone.unlink()
    mended = run_command_line("index", files, *options)
    assert mended.exit_code == 0, mended.stderr
    assert "36 pictures stored" in mended.stdout
    assert run_command_line("status", "-i", folder, "--verify").exit_code == 0
