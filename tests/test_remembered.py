"""What the commands remember: the indexes used last, and the advice that was given today."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from conftest import run_command_line

from ragvis import config
from ragvis.cli import remembered
from ragvis.cli.remembered import is_due, known_indexes
from ragvis.errors import IndexMissing
from ragvis.index import Index
from ragvis.types import Advice


@pytest.fixture
def used(make_index: Callable[..., Index], folder: Path) -> Callable[..., Path]:
    """Makes an index, and uses it by a command."""

    def use(name: str, *arguments: str) -> Path:
        index = make_index(name)
        run_command_line("search", "volts", "-i", index.path, *arguments)
        return index.path

    return use


def test_an_error_tells_where_it_looked_and_what_there_is(used: Callable[..., Path]) -> None:
    here = Path.cwd()
    nothing = run_command_line("search", "volts")
    assert nothing.exit_code == IndexMissing.exit_code
    assert f"no index in {here / 'indexes' / 'default'}. Make one: ragvis index PATH." in (
        nothing.stderr
    )
    assert "-i DIR or RAGVIS_INDEX." in nothing.stderr and "used last" not in nothing.stderr
    first, second = used("first"), used("my second")
    for command in (["search", "x"], ["ask", "x"], ["chat"], ["status"], ["eval", "q.jsonl"]):
        Path("q.jsonl").write_text('{"id": 1, "question": "x", "answerable": false}')
        result = run_command_line(*command)
        assert result.exit_code == IndexMissing.exit_code and result.stderr.count("\n") == 1
        assert result.stderr.endswith(f"used last: {second}, {first}.\n")
    assert f"used last: {second}, {first}." in run_command_line("doctor").stdout
    named = run_command_line("search", "x", "-i", "not here")
    assert f"no index in {here / 'not here'}" in named.stderr
    assert "ragvis index PATH -i 'not here'." in named.stderr  # as a shell takes it


def test_the_last_ones_that_are_still_there_are_known(used: Callable[..., Path]) -> None:
    made = [used(f"index{n}") for n in range(12)]
    assert known_indexes() == made[:1:-1]
    assert used("index4") == made[4] and known_indexes()[:2] == [made[4], made[11]]
    shutil.rmtree(made[11])
    assert known_indexes()[:2] == [made[4], made[10]]
    said = run_command_line("search", "x").stderr
    assert str(made[11]) not in said and said.split("last:")[1].count("/index") == 5
    used("index5")
    listed = json.loads((config.state_dir() / "indexes.json").read_text())
    assert len(listed) <= 10 and str(made[11]) not in listed


@pytest.mark.parametrize("way", ["variable", "settings", "off"])
def test_nothing_is_remembered_where_nothing_is_to_be_kept(
    way: str, used: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "variable":
        monkeypatch.setenv("RAGVIS_NO_LOG", "1")
    elif way == "settings":
        Path("ragvis.toml").write_text("no_log = true")
    else:
        run_command_line("logs", "off")
    used("index")
    assert known_indexes() == []
    assert not (config.state_dir() / "indexes.json").exists()


@pytest.mark.parametrize("text", ["{", "7", '{"a": 1}', '[7, null, [], "\\u0000"]', "[" * 9999])
def test_a_list_that_nobody_wrote_is_no_list(text: str, used: Callable[..., Path]) -> None:
    file = config.state_dir() / "indexes.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert known_indexes() == []
    index = used("index")
    assert known_indexes() == [index]


def test_a_state_folder_that_cannot_be_written_costs_nothing(
    make_index: Callable[..., Index], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index()
    index.add([folder])
    monkeypatch.setenv("RAGVIS_STATE", "/dev/null/x")
    result = run_command_line("search", "volts", "-i", index.path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert is_due(Advice("look")) and is_due(Advice("look"))


def test_advice_is_given_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(date):
        @classmethod
        def today(cls) -> date:
            return date.today() + timedelta(days=1)

    assert is_due(Advice("a GPU is better"))
    assert not is_due(Advice("a GPU is better"))
    assert is_due(Advice("the GPU is full"))  # what is new is said
    assert not is_due(Advice("the GPU is full"))
    monkeypatch.setattr(remembered, "date", Tomorrow)
    assert is_due(Advice("the GPU is full"))


def test_the_small_model_is_told_once_a_day_and_in_doctor_always(
    make_index: Callable[..., Index], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragvis import generator
    from ragvis.errors import ModelUnavailable
    from ragvis.models import registry

    def unavailable(name: str, tell: object, **_: object) -> None:
        raise ModelUnavailable(f"no {name} here")

    monkeypatch.setattr(registry, "_why_not_gpu", lambda: "there is no GPU")
    monkeypatch.setattr(generator, "load", unavailable)
    index = make_index()
    index.add([folder])
    reranked = run_command_line("search", "volts", "-i", index.path, "--rerank", "2")
    assert "no pocket here" in reranked.stderr and "small pocket model" not in reranked.stderr
    for command, told in (("doctor", True), ("ask", True), ("ask", False), ("doctor", True)):
        words = ["volts"] if command == "ask" else []
        result = run_command_line(command, *words, "-i", index.path)
        assert ("using the small pocket model: there is no GPU" in result.output) is told
