"""What is handed in by mistake is told at once, in our words; what is meant is taken."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from conftest import DEMO, run_command_line
from PIL import Image

import ragvis
from ragvis._arguments import as_list
from ragvis.conversation import render
from ragvis.errors import IndexMissing, RagvisError, StorageError, UsageError
from ragvis.index import Index
from ragvis.media.source import load_picture
from ragvis.retriever import Retriever
from ragvis.store.trouble import told
from ragvis.types import Hit

FLAG = DEMO / "images" / "flag-italy.jpg"
HIT = Hit("t1", "text", "a.md", "A", "", None, None, None, "0", 0.5, {"text": 0.5}, "a", "/a.md")


def refused(match: str, call: Callable[[], Any]) -> RagvisError:
    with pytest.raises(UsageError, match=match) as caught:
        call()
    return caught.value


def test_the_wrong_object_is_told_where_it_is_given(make_index: Callable[..., Index]) -> None:
    find: Any = Retriever(make_index())
    wrong: Any = "an/index"
    assert "Index.open" in refused("str is no open index", lambda: Retriever(wrong)).hint
    refused("Index is no retriever", lambda: ragvis.Assistant(find.index))
    refused("Assistant is no model", lambda: ragvis.VisionChat(ragvis.Assistant(find)))  # type: ignore[arg-type]
    refused("query is no text: int", lambda: find.search(7))
    refused("query is no text: NoneType", lambda: find.search_many([None]))
    refused("item's id is no text: Hit", lambda: find.search(like=HIT))
    refused("question is no text: int", lambda: ragvis.Assistant(find).ask(7))  # type: ignore[arg-type]
    refused("message is no text: int", lambda: ragvis.VisionChat().start(FLAG, 7))  # type: ignore[arg-type]


def test_paths_that_are_none(make_index: Callable[..., Index], tmp_path: Path) -> None:
    index: Any = make_index()
    wrong: Any
    for wrong in (7, None, b"a"):
        refused("no path", lambda wrong=wrong: Index.open(wrong))
        refused("no path", lambda wrong=wrong: index.add(wrong))
    refused("in one folder, not in 2", lambda: Index.open(["a", "b"]))  # type: ignore[arg-type]
    refused("is empty", lambda: Index.preview_new("", tmp_path))
    refused("the filter", lambda: Retriever(index).search("x", filter=["type:pdf"]))  # type: ignore[arg-type]
    with pytest.raises(IndexMissing, match="~nosuch"):
        Index.open("~nosuch/x")
    for use in (Index.open, Index.create):
        with pytest.raises(StorageError, match="too long"):
            use("x" * 300)
    done = run_command_line("search", "x", "-i", "")
    assert (done.exit_code, "a path is empty" in done.stderr) == (2, True)


def test_questions_are_taken_one_by_one(demo_index: Path, pocket_generator: Any) -> None:
    with Index.open(demo_index) as index:
        assistant: Any = ragvis.Assistant(Retriever(index), pocket_generator)
        refused("one question is not many", lambda: next(assistant.ask_many("why?")))
        said = "question is no text"
        for wrong, why in ((7, said), (None, said), (("q", (), "", 3), said), (("q", (), 3), "3")):
            asked = assistant.ask_many(["What is the capital of Japan?", wrong])
            assert "Tokyo" in next(asked).answer.text
            refused(why, lambda asked=asked: next(asked))


def test_modalities(make_index: Callable[..., Index], folder: Path) -> None:
    index = make_index()
    index.add(folder)
    find: Any = Retriever(index)
    for word, kind in (("picture", "image"), ("photo", "image"), ("passage", "text")):
        assert {hit.modality for hit in find.search("volts", modality=word)} == {kind}
        assert {hit.modality for hit in find.search_many(["volts"], modality=word)[0]} == {kind}
    for wrong in ("sound", "", None, 7):
        refused("unknown modality", lambda wrong=wrong: find.search("volts", modality=wrong))
    assert refused("diversity cannot be 2", lambda: find.search("volts", diversity=2)).hint


def test_names_that_are_no_unicode(make_index: Callable[..., Index], tmp_path: Path) -> None:
    """SQLite takes none, nor does a filter compare with any."""
    refused("no valid name", lambda: Index.create(tmp_path / "x\udcff"))
    assert not list(tmp_path.glob("x*"))
    assert Retriever(make_index()).search("pump", filter="name:\udcff") == []


@pytest.mark.parametrize("one", ["ab", b"ab", bytearray(b"ab"), Path("ab"), io.BytesIO(b"a\nb")])
def test_one_thing_is_not_taken_apart(one: object) -> None:
    assert as_list(one) == [one]
    assert as_list([one, one]) == [one, one]


def test_what_is_no_picture() -> None:
    with FLAG.open("rb") as stream:
        error = refused("no picture: BufferedReader", lambda: load_picture(stream))  # type: ignore[arg-type]
    assert "read()" in error.hint
    closed = Image.open(FLAG)
    closed.close()
    refused("cannot be opened: Operation on closed image", lambda: load_picture(closed))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"content": "Hello"}, "unknown role None"),
        ({"role": "user", "content": [{"type": "text", "text": "Hello"}]}, "not list"),
        ({"role": "user", "content": 7}, "not int"),
    ],
)
def test_messages_of_another_shape(message: dict[str, Any], said: str) -> None:
    refused(said, lambda: render("vicuna_v1", [message]))


def test_hits_can_be_put_into_a_set() -> None:
    assert len({HIT, Hit(**HIT.to_dict() | {"paths": (), "duplicates": ()})}) == 1


@pytest.mark.parametrize("code", [apsw.SQLITE_NOMEM, apsw.SQLITE_TOOBIG])
def test_too_much_is_not_called_damage(code: int, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="catalog"), told(tmp_path / "catalog.db"):
        raise apsw.exception_for(code)
