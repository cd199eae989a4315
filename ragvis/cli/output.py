"""Words on a terminal: notices, safe text, progress."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragvis import config
from ragvis._arguments import checked_paths
from ragvis._text import beginning, word_end
from ragvis.cli.remembered import is_due, remember_index
from ragvis.errors import UsageError
from ragvis.types import Advice

if TYPE_CHECKING:
    from ragvis.media.images import Picture

# Characters that steer a terminal or reorder what is read; shown as escapes instead.
_STEERING = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def shown(text: str, keep_lines: bool = False) -> str:
    """Text from files, safe on a terminal."""

    def safe(char: str) -> str:
        if char in "\u200d\ufe0f" or (keep_lines and char == "\n"):
            return char  # joined emoji; line ends
        if char in "\n\t":
            return " "
        if unicodedata.category(char) in _STEERING:
            return f"\\u{ord(char):04x}"
        return char

    return "".join(map(safe, text))


def snippet(text: str, width: int = 160) -> str:
    """The beginning of a text in whole words, on one line."""
    read = word_end(text, 8 * width)  # most of it may be blanks
    line = " ".join(shown(text[:read]).split())
    return beginning(line, width) if read == len(text) else beginning(f"{line} …", width)


def from_stdin(argument: str) -> str:
    """An argument, or what stdin says where it is ``-``."""
    if argument != "-":
        return argument
    return sys.stdin.read().strip() if sys.stdin is not None else ""


def preview(picture: Picture) -> None:
    """A picture in half blocks, on a terminal that has colours and room for it."""
    from ragvis.media.images import half_blocks

    colours = os.environ.get("COLORTERM", "") in ("truecolor", "24bit")
    if sys.stdout.isatty() and colours and not os.environ.get("NO_COLOR"):
        size = shutil.get_terminal_size()
        click.echo(half_blocks(picture, min(60, size.columns), min(24, size.lines - 4)))


def notice(text: str) -> None:
    """A line for the person, on stderr; advice once a day."""
    if not isinstance(text, Advice) or is_due(text):
        click.echo(f"ragvis: {text}", err=True)


def tell(text: str) -> None:
    """A notice that may hold what files say."""
    notice(type(text)(shown(text)))


def print_json(value: dict[str, Any]) -> None:
    """A JSON object on stdout, what would steer a terminal written as escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    click.echo(_escaped(text))


def json_line(value: dict[str, Any]) -> str:
    """A JSON object on one line, escaped as ``print_json`` does."""
    return _escaped(json.dumps(value, ensure_ascii=False))


def _escaped(text: str) -> str:
    return re.sub(r"[^ -~\n]", lambda m: _json_escape(m[0]), text)


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if unicodedata.category(char) in _STEERING else char


def write_page(file: Path, html: str) -> None:
    """Write an ``--html`` page.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        file.write_bytes(html.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", "Choose another file for --html.") from error


def check_writable(file: Path, option: str) -> None:
    """See that a file can be written before long work is done for it; it is left as it is.

    Raises:
        UsageError: its folder is not there, or the disk refuses.
    """
    hint = f"Choose another file for {option}."
    if not file.parent.is_dir():
        raise UsageError(f"{file}: no such folder: {file.parent}", hint)
    try:
        if file.exists() and not file.is_file():  # a pipe or a device would wait for its reader
            if not os.access(file, os.W_OK):
                raise UsageError(f"{file} cannot be written to", hint)
            return
        was_there = file.exists()
        file.open("ab").close()
        if not was_there:
            file.unlink()
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: {getattr(error, 'strerror', None) or error}", hint) from error


def file_option(*names: str, help: str, metavar: str | None = None) -> Callable[..., Any]:
    """An option that names a file to write, which is checked before the command begins."""

    def checked(_: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
        if file is not None:
            check_writable(file, option.opts[-1])
        return file

    file = click.Path(path_type=Path, dir_okay=False)
    return click.option(*names, type=file, callback=checked, metavar=metavar, help=help)


def index_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``-i DIR``, the same for every command."""
    return click.option(
        "-i",
        "--index",
        type=click.Path(file_okay=False),
        default=config.DEFAULT_INDEX,
        envvar="RAGVIS_INDEX",
        show_default=True,
        metavar="DIR",
        is_eager=True,
        callback=_settings_beside,
        help="The index's folder; RAGVIS_INDEX names it too.",
    )(function)


def _settings_beside(context: click.Context, _: click.Parameter, given: str) -> Path:
    """The index is known first: ``ragvis.toml`` beside it has a say in the other options."""
    (path,) = checked_paths(given)
    index = Path(os.path.expanduser(path))  # an unknown ~user stays as it is
    beside = defaults_for(context.command.name, config.settings_beside(index))
    context.default_map = {**(context.default_map or {}), **beside}
    context.call_on_close(lambda: remember_index(context, index))
    return index


def defaults_for(command: str | None, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as a command's defaults. ``status --verify`` is about the index's checksums,
    the setting about answers."""
    return {k: v for k, v in settings.items() if (command, k) != ("status", "verify")}


def html_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--html FILE``, the same for every command."""
    return file_option("--html", "page", metavar="FILE", help=what)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``, the same for every command."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON (schema_version 1) for programs."
    )(function)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar with rate and time left on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _plain_progress(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(
        *columns, TimeLeft(), TextColumn("{task.fields[name]}"), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task(what, total=None, rate="", name="")
        started = time.monotonic()

        def update(done: int, of: int, name: str) -> None:
            rate = f"{done / max(time.monotonic() - started, 1e-3):.1f}/s" if done else ""
            short = shown(name.replace("[", "(").replace("]", ")"))[-40:]
            bar.update(task, completed=done, total=of, rate=rate, name=short)

        yield update


def _plain_progress(what: str) -> Callable[[int, int, str], None]:
    started = last = time.monotonic()

    def update(done: int, of: int, _name: str) -> None:
        nonlocal last
        now = time.monotonic()
        if done and now - last >= 10:
            rate = done / (now - started)
            notice(f"{what}: {done} of {of} ({rate:.1f}/s, {(of - done) / rate:.0f} s left)")
            last = now

    return update
