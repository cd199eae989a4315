"""What the encoder calls pictures: only where it is sure, and what that brings."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import DEMO, WordEncoder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file
from test_composer import make_hit, make_spec

from ragvis.assistant import VisionChat
from ragvis.composer import Attachment, compose
from ragvis.encoder.names import KEY, SURE, Names
from ragvis.index import Index
from ragvis.media.images import open_picture
from ragvis.retriever import Retriever

AXES = np.eye(4, dtype=np.float32)
ANIMALS = Names(["koala", "gecko", "tern", "a koala bear"], np.vstack([AXES[:3], AXES[:1]]))


def test_a_name_is_near_and_nearer_than_those_of_other_things() -> None:
    between = AXES[:3].sum(0) / 3**0.5
    assert ANIMALS.of(np.stack([AXES[0], between, AXES[3]])) == ["koala", "", ""]
    assert ANIMALS.nearest(AXES[:1]) == [("koala", pytest.approx(2.0))]  # its synonym is no rival
    assert ANIMALS.nearest(between[None])[0][1] == pytest.approx(3**-0.5)


def test_in_a_joint_space_names_lie_in_the_first_part() -> None:
    assert ANIMALS.of(np.pad(AXES[1:2], ((0, 0), (0, 5)))) == ["gecko"]
    assert Names(["only"], AXES[:1]).of(AXES[:1]) == ["only"]


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4))
def test_sureness_never_lies_above_twice_the_cosine_plus_one(values: list[float]) -> None:
    row = np.array(values, np.float32)
    row /= max(1e-6, float(np.linalg.norm(row)))
    name, sure = ANIMALS.nearest(row[None])[0]
    assert sure <= 2 * float(row[:3].max()) + 1 and name in ANIMALS.names
    assert (ANIMALS.of(row[None]) == [name]) == (sure >= SURE)


def test_names_come_out_of_one_file(tmp_path: Path) -> None:
    file = tmp_path / "names.safetensors"
    save_file({KEY: AXES.astype(np.float16)}, file, {KEY: json.dumps(list("abcd"))})
    assert Names.load(file).of(AXES) == list("abcd")
    save_file({KEY: AXES}, file)
    with pytest.raises(KeyError):
        Names.load(file)
    save_file({KEY: AXES}, file, {KEY: json.dumps(["one"])})
    with pytest.raises(ValueError, match="1 names for 4"):
        Names.load(file)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_index: Callable[..., Index]) -> Any:
    """An index whose encoder calls blue things "whale", and others nothing."""
    blue = Image.new("RGB", (64, 64), "blue")
    vector = WordEncoder().encode_pictures([blue])
    monkeypatch.setattr(WordEncoder, "names", Names(["whale"], vector), raising=False)
    monkeypatch.setattr("ragvis.encoder.names.SURE", 1.99)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "sea.txt").write_text("A whale sings.")
    for n in range(6):
        (folder / f"land{n}.txt").write_text(f"A fox{n} barks.")
    Image.new("RGB", (64, 64), "green").save(folder / "IMG_1.png")
    index = make_index()
    index.add([folder])
    return Retriever(index)


def test_a_photo_that_the_index_does_not_know_is_looked_for_by_its_name(named: Retriever) -> None:
    query = named.query("What does it do?", [Image.new("RGB", (80, 80), "blue")])
    assert query.known is None and query.name == "whale"
    assert query.by_name is not None and query.by_name.text == "whale What does it do?"
    assert named.rank(query, 3).passages[0].name == "sea.txt"
    unsure = named.query("What does it do?", [Image.new("RGB", (80, 80), "red")])
    assert (unsure.name, unsure.by_name) == ("", None)


def test_a_picture_without_a_caption_says_what_it_looks_like(
    named: Retriever, tmp_path: Path
) -> None:
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "mine" / "IMG_2.png")
    named.index.add([tmp_path / "mine"])
    found = {hit.name: hit for hit in named.search("pictures", k=9, modality="image")}
    assert {n: hit.looks_like for n, hit in found.items()} == {
        "IMG_1.png": "",
        "IMG_2.png": "whale",
    }
    assert found["IMG_2.png"].to_dict()["looks_like"] == "whale"
    again = named.query("What is this?", [Image.new("RGB", (80, 80), "blue")])
    assert again.known is not None and again.name == "whale"  # IMG_2 says nothing


@pytest.mark.parametrize(
    ("before", "alt", "colour", "name", "searched"),
    [
        ("", "", "green", "", "Yearbook"),
        ("", "", "blue", "whale", "Yearbook whale"),  # by the encoder: see ``named``
        ("<h1>Yearbook</h1>", "", "blue", "whale", "Yearbook whale"),
        ("<h2>Nuka</h2>", "", "green", "Nuka", "Yearbook Nuka"),
        ("<h2>Nuka</h2>", "Nuka asleep", "green", "Nuka asleep", "Yearbook Nuka Nuka asleep"),
    ],
)
def test_a_documents_title_is_no_name_for_a_picture_in_it(
    tmp_path: Path, named: Retriever, before: str, alt: str, colour: str, name: str, searched: str
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (100, 100), colour).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    picture = f'<img alt="{alt}" src="data:image/png;base64,{data}">'
    page = f"<title>Yearbook</title><p>Words.</p>{before}{picture}"
    (tmp_path / "mine" / "IMG_1.png").unlink()
    (tmp_path / "mine" / "yearbook.html").write_text(page)
    named.index.add([tmp_path / "mine"])
    query = named.query("What?", [Image.new("RGB", (90, 90), colour)])
    assert query.known is not None and query.known.name == "yearbook.html"
    assert query.name == name
    assert query.by_name is not None and query.by_name.text == f"{searched} What?"


def test_the_label_of_a_picture_says_what_it_looks_like() -> None:
    seen = make_hit(1, "image", None, looks_like="koala")
    told = make_hit(2, "image", "Tilly asleep", looks_like="koala")
    photo = Attachment(make_hit(3, "image", None), (9, 9), known_as="gecko")
    sizes = {hit.id: (9, 9) for hit in (seen, told, photo.hit)}
    prompt = compose("What is it?", [seen, told], [photo], sizes, make_spec(pixels=3)).prompt
    assert "[1] image: pic3.jpg — gecko\n" in prompt
    assert "image: pic1.jpg — koala\n" in prompt and "image: pic2.jpg — Tilly asleep\n" in prompt


def test_pocket_names_photographs_it_was_never_trained_on(pocket_encoder: Any) -> None:
    called = {"bison": "bison", "komodo-dragon": "lizard", "giraffe": ""}
    shown = [open_picture(DEMO / "images" / f"animal-{name}.jpg") for name in called]
    told = pocket_encoder.names.of(pocket_encoder.encode_pictures(shown))
    assert told == list(called.values())  # it does not know giraffes, and does not say it does


def test_pictures_are_searched_by_what_they_look_like(named: Retriever, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "mine" / "IMG_2.png")
    named.index.add([tmp_path / "mine"])
    best = named.search("Which picture shows a whale?", k=3, modality="image")[0]
    assert best.name == "IMG_2.png" and best.scores["words"] == pytest.approx(1.0)


def test_a_chat_about_a_picture_begins_with_its_name(pocket_folder: Any, tmp_path: Path) -> None:
    picture = tmp_path / "IMG_0001.jpg"
    shutil.copy(DEMO / "images" / "animal-bison.jpg", picture)
    chat = VisionChat("pocket")
    assert "bison" in chat.start(picture, "What is shown in this picture?")
    assert "[1] image: IMG_0001.jpg — bison\n" in chat.prompt
    shutil.copy(DEMO / "images" / "animal-giraffe.jpg", picture)
    chat.start(picture)
    assert "[1] image: IMG_0001.jpg\n" in chat.prompt
