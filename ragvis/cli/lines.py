"""Reading what a person types: with history and editing on a terminal, plainly elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ragvis import config

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings


class Lines:
    """One message after another. Enter sends; Alt-Enter (or Esc, Enter) begins a new line."""

    def __init__(self, commands: Iterable[str]) -> None:
        self._session = _session(commands) if sys.stdin.isatty() and sys.stdout.isatty() else None

    def read(self) -> str | None:
        """The next message, or None when the person has left.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        if self._session is None:
            line = sys.stdin.readline()
            return line.strip() if line else None
        try:
            return self._session.prompt("> ").strip()
        except EOFError:
            return None


def _session(commands: Iterable[str]) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    file = config.state_dir() / "chat-history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        history = FileHistory(str(file))
    except OSError:  # a home that cannot be written to is no reason not to talk
        history = InMemoryHistory()  # type: ignore[assignment]
    return PromptSession(
        history=history,
        completer=WordCompleter(list(commands), sentence=True),
        complete_while_typing=False,
        key_bindings=_keys(),
        prompt_continuation="  ",
        multiline=True,
    )


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
