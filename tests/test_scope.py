"""What a question is answered from: an empty index and a filter are told, and filters reach
everything that asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import run_command_line
from test_remote import SAID, serving

import ragvis
from ragvis.assistant.prepared import AskOptions
from ragvis.errors import UsageError
from ragvis.index import Index
from ragvis.logs import Log

ASKED = "How many candles does the lamp need?"
EMPTY = "the index is empty. Fill it: ragvis index PATH -i"


@pytest.fixture
def server() -> Iterator[Any]:
    with serving(SAID) as server:
        yield server


@pytest.fixture
def index(make_index: Callable[..., Index], folder: Path) -> Index:
    index = make_index()
    index.add([folder])
    return index


def refused(server: Any, *arguments: str | Path, told: str) -> None:
    """Ask without an answer: exit code 3, the refusal on stdout, and why on stderr."""
    result = run_command_line("ask", *arguments, "-m", server.name)
    assert result.exit_code == 3, result.stderr
    assert result.stdout == "Not found in the sources.\n"
    assert told in result.stderr and result.stderr.count("\n") == 1


def test_an_empty_index_says_so(
    make_index: Callable[..., Index], server: Any, tmp_path: Path
) -> None:
    path = make_index("my index").path
    refused(server, ASKED, "-i", path, told=f"{EMPTY} '{path}'")
    in_json = run_command_line("ask", ASKED, "-i", path, "-m", server.name, "--json")
    assert json.loads(in_json.stdout)["abstained"] and EMPTY in in_json.stderr
    search = run_command_line("search", ASKED, "-i", path)
    assert (search.exit_code, search.stdout) == (0, "") and EMPTY in search.stderr
    assert EMPTY in run_command_line("chat", "-i", path, "-m", server.name, stdin="").stderr
    questions = tmp_path / "q.jsonl"
    questions.write_text('{"id": 1, "question": "x", "answerable": true, "relevant": ["a.md"]}')
    assert EMPTY in run_command_line("eval", questions, "-i", path).stderr
    batch = run_command_line("ask", "--batch", questions, "-i", path, "-m", server.name)
    assert batch.exit_code == 0 and EMPTY in batch.stderr
    with Index.open(path) as opened:
        assert ragvis.Assistant(ragvis.Retriever(opened), server.name).ask(ASKED).abstained
    assert server.asked == []


def test_an_index_of_which_nothing_could_be_read_is_told_apart(
    make_index: Callable[..., Index], folder: Path, server: Any
) -> None:
    for file in folder.rglob("*.*"):
        file.write_bytes(b"")
    index = make_index()
    index.add([folder])
    refused(server, ASKED, "-i", index.path, told="no file of the index could be read. See why:")


def test_nothing_of_that_kind(index: Index, folder: Path) -> None:
    for arguments, told in (
        (["--filter", "type:png", "--modality", "text"], "hold nothing of that kind"),
        (["--filter", "path:none"], "no file of the index matches the filter 'path:none'"),
    ):
        result = run_command_line("search", "volts", "-i", index.path, *arguments)
        assert (result.exit_code, result.stdout) == (0, "") and told in result.stderr
    index.remove([folder / "red.png", folder / "sub" / "blue.png"])
    result = run_command_line("search", "volts", "-i", index.path, "--modality", "photo")
    assert "the index holds nothing of that kind" in result.stderr


def test_a_filter_narrows_what_is_asked(index: Index, server: Any) -> None:
    ask = ["ask", ASKED, "-i", index.path, "-m", server.name, "--json"]
    for filter, names in (
        (None, {"lamp.txt", "pump.md"}),
        ("name:lamp", {"lamp.txt"}),
        ("path:sub -type:png", {"lamp.txt"}),
    ):
        done = run_command_line(*ask, *(["--filter", filter] if filter else []))
        sources = json.loads(done.stdout)["sources"]
        assert {Path(s["path"]).name for s in sources if s["modality"] == "text"} <= names
        assert "lamp.txt" in {Path(s["path"]).name for s in sources}
        assert Log().get().record["asked"]["filter"] == filter
    refused(server, ASKED, "-i", index.path, "--filter", "name:none", told="no file of the index")
    few = ("zxqv blorf", "-i", index.path, "--filter", "name:lamp")
    refused(server, *few, told="only files that match the filter 'name:lamp' were searched")
    wrong = run_command_line(*ask, "--filter", "nam:lamp")
    assert wrong.exit_code == UsageError.exit_code and "no condition 'nam:lamp'" in wrong.stderr


def test_a_filter_in_python(index: Index, server: Any) -> None:
    assistant = ragvis.Assistant(ragvis.Retriever(index), server.name)
    only = "name:pump"

    def files(answer: ragvis.Answer) -> set[str]:
        return {source.hit.name for source in answer.sources}

    assert files(assistant.ask("volts", filter=only)) == {"pump.md"}
    assert files(assistant.stream("volts", filter=only).read()) == {"pump.md"}
    chat = assistant.chat(filter=only)
    assert files(chat.ask("volts")) == {"pump.md"}
    asked: list[Any] = ["volts", ("volts", ()), ("volts", (), "type:png"), ("volts", (), "")]
    found = [files(one.answer) for one in assistant.ask_many(asked, filter=only)]
    assert found[0] == found[1] == {"pump.md"} and "pump.md" not in found[2]
    assert "pump.md" in found[3]
    assert files(assistant.ask("volts", filter="name:none")) == set()
    assert assistant.ask("volts", filter="name:none").abstained
    with pytest.raises(UsageError, match="no condition"):
        AskOptions(filter="size:3")


def test_a_photo_s_question_is_filtered_too(index: Index, folder: Path, server: Any) -> None:
    assistant = ragvis.Assistant(ragvis.Retriever(index), server.name)
    photo = folder / "red.png"
    question = "The pump runs at twelve volts. The lamp needs four candles."

    def files(**options: Any) -> set[str]:
        answer = assistant.ask(question, photo, **options)
        return {s.hit.name for s in answer.sources if not s.hit.is_attached}

    assert {"pump.md", "lamp.txt"} <= files()
    assert files(filter="name:pump") == {"pump.md"}


def test_a_conversation_keeps_its_filter_and_may_change_it(index: Index, server: Any) -> None:
    lines = [
        ASKED,
        "/filter name:pump",
        ASKED,
        "/filter nam:x",
        "/filter name:none",
        ASKED,
        "/new",
        ASKED,
        "/filter",
        ASKED,
    ]
    start = ["chat", "-i", index.path, "-m", server.name, "--filter", "name:lamp"]
    result = run_command_line(*start, stdin="\n".join(lines))
    assert result.exit_code == 0
    asked = [entry.record["asked"]["filter"] for entry in Log().newest(9)]
    assert asked == ["name:lamp", "name:pump", "name:none", "name:none", None]
    for told in (
        "from now on files that match 'name:pump' are searched",
        "no condition 'nam:x'",
        "no file of the index matches the filter 'name:none'",
        "from now on all files are searched",
    ):
        assert told in result.stderr
    went_on = run_command_line(*start[:-2], "-c", stdin=f"{ASKED}\n")
    assert went_on.exit_code == 0 and Log().get().record["asked"]["filter"] is None
    about = run_command_line("chat", "--image", "a.png", "--filter", "name:a")
    assert about.exit_code == UsageError.exit_code and "--filter is for" in about.stderr


def test_going_on_keeps_the_filter_until_another_is_given(index: Index, server: Any) -> None:
    ask = ["ask", "-i", index.path, "-m", server.name]
    run_command_line(*ask, ASKED, "--filter", "name:lamp")
    went_on = run_command_line(*ask, "-c", "And how many more?")
    assert "searches files that match 'name:lamp'" in went_on.stderr
    for more, kept in (([], "name:lamp"), (["--filter", "name:pump"], "name:pump")):
        run_command_line(*ask, "-c", "And how many more?", *more)
        assert Log().get().record["asked"]["filter"] == kept
    run_command_line(*ask, "-c", "And how many more?", "--filter", "")
    assert Log().get().record["asked"]["filter"] is None


def test_a_filter_is_replayed_and_shown(index: Index, server: Any, tmp_path: Path) -> None:
    run_command_line("ask", ASKED, "-i", index.path, "-m", server.name, "--filter", "name:lamp")
    again = run_command_line("replay", "--json")
    assert json.loads(again.stdout)["same"], again.stderr
    assert [c["what"] for c in json.loads(again.stdout)["changes"]] == []
    assert "\nfilter name:lamp\n" in run_command_line("logs", "show").stdout
    run_command_line("logs", "show", "--html", tmp_path / "page.html")
    assert "<code>name:lamp</code>" in (tmp_path / "page.html").read_text()
