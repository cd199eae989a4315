"""What a person asks is no one else's to read, and is not kept where that was not wanted."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import run_command_line
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from test_remote import SAID, serving

from ragvis import config
from ragvis._files import make_private, write_private
from ragvis.cli import lines
from ragvis.index import Index
from ragvis.logs import Log

needs_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def typed(text: str, is_recorded: bool) -> None:
    """Type a message at a prompt, as on a terminal."""
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        session = lines._session(["/help"], is_recorded)
        keys.send_text(f"{text}\r")
        assert session.prompt("> ") == text


def test_what_is_typed_is_kept_for_oneself_or_not_at_all() -> None:
    typed("unrecorded", is_recorded=False)
    assert not config.state_dir().exists()
    typed("recorded", is_recorded=True)
    kept = config.state_dir() / "chat-history"
    assert "recorded" in kept.read_text() and "unrecorded" not in kept.read_text()


@needs_modes
@pytest.mark.parametrize("name", ["chat-history", "logs.db", "logs-off"])
def test_files_of_the_state_folder_are_one_s_own(name: str) -> None:
    def use() -> None:
        typed("recorded", is_recorded=True)
        Log().switch(False)
        with Log()._open():
            pass

    file = config.state_dir() / name
    before = os.umask(0)
    try:
        use()
        assert mode(file) == 0o600 and mode(file.parent) == 0o700
        file.chmod(0o644)  # as an older version made it
        use()
        assert mode(file) == 0o600
    finally:
        os.umask(before)


@needs_modes
def test_a_file_is_private_before_anything_is_written(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    make_private(file)
    assert (mode(file), file.read_bytes()) == (0o600, b"")
    file.write_text("mine")
    make_private(file)
    assert file.read_text() == "mine"
    write_private(file, "anew")
    assert (mode(file), file.read_text()) == (0o600, "anew")
    assert list(file.parent.iterdir()) == [file]


class Typist:
    """Stands for a terminal, and says whether it was told to record."""

    told: ClassVar[list[bool]] = []

    def __init__(self, _: Iterable[str], is_recorded: bool) -> None:
        self.told.append(is_recorded)
        self._left = ["What is in the cellar?"]

    def read(self) -> str | None:
        return self._left.pop() if self._left else None


@pytest.mark.parametrize(
    ("arguments", "variable", "settings", "switch", "kept"),
    [
        ([], "", "", "on", True),
        (["-n"], "", "", "on", False),
        (["--no-log"], "", "", "on", False),
        ([], "1", "", "on", False),
        ([], "", "no_log = true", "on", False),
        ([], "0", "no_log = true", "on", True),
        ([], "", "", "off", False),
    ],
)
def test_every_way_to_say_no(
    arguments: list[str],
    variable: str,
    settings: str,
    switch: str,
    kept: bool,
    make_index: Callable[..., Index],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = make_index()
    index.add([folder])
    monkeypatch.setattr(lines, "Lines", Typist)
    Typist.told = []
    Path("ragvis.toml").write_text(settings)
    if variable:
        monkeypatch.setenv("RAGVIS_NO_LOG", variable)
    if switch == "off":
        run_command_line("logs", "off")
    photo = str(folder / "red.png")
    with serving(SAID) as server:
        for about in (["-i", str(index.path)], ["--image", photo]):
            result = run_command_line("chat", *about, *arguments, "-m", server.name)
            assert result.exit_code == 0, result.stderr
    assert Typist.told == [kept, kept]
    assert len(Log().newest(9)) == 2 * kept
    state = config.state_dir()
    files: Any = sorted(file.name for file in state.iterdir()) if state.exists() else []
    assert files == (["indexes.json", "logs.db"] if kept else ["logs-off"][: switch == "off"])
