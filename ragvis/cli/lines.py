"""Reading what a person types: with history and editing on a terminal, plainly elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ragvis import config
from ragvis._files import make_private

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings


class Lines:
    """One message after another. Enter sends; Alt-Enter (or Esc, Enter) begins a new line.

    Args:
        commands: what Tab completes.
        is_recorded: keep what is typed for the arrow keys of later conversations.
    """

    def __init__(self, commands: Iterable[str], is_recorded: bool) -> None:
        on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self._session = _session(commands, is_recorded) if on_terminal else None

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


def _session(commands: Iterable[str], is_recorded: bool) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter

    return PromptSession(
        history=_history(is_recorded),
        completer=WordCompleter(list(commands), sentence=True),
        complete_while_typing=False,
        key_bindings=_keys(),
        prompt_continuation="  ",
        multiline=True,
    )


def _history(is_recorded: bool) -> History:
    """What was typed before; in memory alone where it is not recorded or cannot be."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if not is_recorded:
        return InMemoryHistory()
    file = config.state_dir() / "chat-history"
    try:
        make_private(file)
    except OSError:  # a home that cannot be written to is no reason not to talk
        return InMemoryHistory()
    return FileHistory(str(file))


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
