"""Settings files and variables: what is known is taken, and what is mistyped is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from conftest import ROOT, run_command_line

from ragvis import config
from ragvis.cli.main import cli
from ragvis.errors import UsageError
from ragvis.index import Index


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("modle = 'pocket'", "no setting 'modle'", "Did you mean model?"),
        ("no-log = true", "no setting 'no-log'", "Did you mean no_log?"),
        ("Model = 'pocket'", "no setting 'Model'", "Did you mean model?"),
        ("quantise = '8bit'", "no setting 'quantise'", "Did you mean quantize?"),
        ("shown_as = 'each'", "no setting 'shown_as'", "The settings are index, model,"),
        ("[ask]\nk = 3", "no setting 'ask'", "The settings are"),
        ("k = '3'", "k is '3'", "whole number"),
        ("k = true", "k is True", "whole number"),
        ("k = 3.5", "k is 3.5", "whole number"),
        ("model = 7", "model is 7", "a text"),
        ("model = ['pocket']", "model is a list", "a text"),
        ("no_log = 'yes'", "no_log is 'yes'", "true or false"),
        ("no_log = 1", "no_log is 1", "true or false"),
        ("offline = 2026-01-01", "offline is a date", "true or false"),
        ("diversity = '0.5'", "diversity is '0.5'", "a number"),
        ("quantize = '5bit'", "quantize cannot be '5bit'", "8bit, 4bit, none"),
        ("quantize = ['8bit']", "quantize cannot be", "8bit, 4bit, none"),
        ("images = 'a.jpg'", "images cannot be 'a.jpg'", "pixels, each"),
        ("modality = 'sound'", "modality cannot be 'sound'", "any, text, image"),
        ("model = ", "not readable TOML", "Mend or remove it."),
        ("a = " + "[" * 9999, "not readable TOML", "Mend or remove it."),
    ],
)
@pytest.mark.parametrize("place", ["here", "beside", "user"])
def test_what_is_no_setting(text: str, said: str, hint: str, place: str, tmp_path: Path) -> None:
    files = {
        "here": Path("ragvis.toml"),
        "beside": tmp_path / "ragvis.toml",
        "user": config.user_config_file(),
    }
    file = files[place]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    result = run_command_line("search", "volts", "-i", tmp_path / "index")
    assert result.exit_code == UsageError.exit_code
    assert result.stderr.startswith(f"ragvis: {file}") and result.stderr.count("\n") == 1
    assert said in result.stderr and hint in result.stderr


def test_every_setting_is_taken(
    make_index: Callable[..., Index], folder: Path, tmp_path: Path
) -> None:
    index = make_index()
    index.add([folder])
    text = (
        f"index = '{index.path}'\n"
        "model = 'pocket'\nquantize = 'none'\nlora = 'a'\ntemplate = 'v0'\n"
        "encoder = 'pocket'\ntext_encoder = 'b'\nk = 1\nfilter = 'type:png'\nmodality = 'photo'\n"
        "diversity = 0\nimages = 'each'\nverify = true\nexplain = true\nno_stream = true\n"
        "no_log = true\noffline = false\n"
    )
    Path("ragvis.toml").write_text(text, "utf-8-sig")  # as Windows' editors write it
    assert {line.split(" =")[0] for line in text.splitlines()} | {"rerank"} == set(config.SETTINGS)
    found = run_command_line("search", "volts").stdout
    assert "lamp" not in found and "pump" not in found
    assert found.count(".png") == 1 and "cosine" in found  # k, filter, modality, explain
    status = run_command_line("status")
    assert status.exit_code == 0 and "verified" not in status.stdout
    assert "verified" in run_command_line("status", "--verify").stdout


def test_every_setting_is_a_parameter_of_the_command_line() -> None:
    commands = [cli, *cli.commands.values()]
    found = {option.name for command in commands for option in command.params}
    assert found >= set(config.SETTINGS)
    assert set(config.SETTINGS) <= set(re.findall(r"\w+", cli.get_help(click.Context(cli))))


def test_every_variable_is_known() -> None:
    read = set()
    for file in (ROOT / "ragvis").rglob("*.py"):
        read |= set(re.findall(r"\bRAGVIS_[A-Z_]*[A-Z]\b", file.read_text("utf-8")))
    assert read <= config.VARIABLES
    # Some are read by their whole name, the rest through the options
    options = [o for command in cli.commands.values() for o in command.params]
    assert {o.envvar for o in options if o.envvar} <= config.VARIABLES


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RAGVIS_MODLE", "RAGVIS_MODLE is none that ragvis reads; did you mean RAGVIS_MODEL?"),
        ("RAGVIS_NOLOG", "did you mean RAGVIS_NO_LOG?"),
        ("RAGVIS_XYZZY", "RAGVIS_XYZZY is none that ragvis reads\n"),
        ("RAGVIS_MODEL", ""),
        ("MYRAGVIS_MODLE", ""),
    ],
)
def test_a_mistyped_variable_is_told(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "pocket")
    result = run_command_line("logs", "path")
    assert result.exit_code == 0
    assert said in result.stderr and bool(result.stderr) == bool(said)
