"""The group of commands, its settings, and how errors end it."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
import traceback
from collections.abc import Sequence
from typing import Any

import click

from ragvis import __version__, config
from ragvis.cli import ask, chat, doctor, evaluate, index, logs, models, search, status
from ragvis.cli.output import defaults_for, notice, shown
from ragvis.cli.remembered import where_indexes_are
from ragvis.errors import IndexMissing, RagvisError

_SETTINGS = textwrap.fill(", ".join(config.SETTINGS) + ".", 98, break_on_hyphens=False)
_EPILOG = f"""\b
Start here:
  ragvis index ~/Documents ~/Pictures     embed everything once; run it again after changes
  ragvis ask "when does the warranty of the pump end?"
  ragvis search "a red car in the snow" --modality image
\b
Settings: a flag beats a RAGVIS_* variable, which beats ragvis.toml beside the index or in the
current folder, which beats config.toml in the user's config folder. A file holds lines such as
model = "pocket"; its keys are
{_SETTINGS}
\b
Exit codes: 0 done, 1 the disk refuses, a replay differs or a question of a batch failed, 2 usage,
3 nothing in the index answers it, 4 no index or another encoder's, 5 model or download, 6 index
damaged, 7 index locked, 130 interrupted.
"""


@click.group(
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ragvis")
@click.option(
    "--offline", is_flag=True, envvar="RAGVIS_OFFLINE", help="Open no network connection."
)
@click.option("--debug", is_flag=True, envvar="RAGVIS_DEBUG", help="Show a traceback on errors.")
@click.pass_context
def cli(context: click.Context, offline: bool, debug: bool) -> None:
    """Ask questions of your own pictures and documents, on your own machine.

    CLIP finds the passages and pictures that matter; a LLaVA model answers from them and cites
    each one. With no GPU and no model hub, a small model that ships with ragvis does it.
    """
    if debug:  # seen by main(), which outlives this context
        os.environ["RAGVIS_DEBUG"] = "1"
    if offline:
        config.go_offline()
    context.default_map = _settings()
    _check_variables()


for command in (
    index.command,
    search.command,
    ask.command,
    chat.command,
    status.command,
    evaluate.command,
    logs.group,
    logs.replay,
    models.group,
    doctor.command,
):
    cli.add_command(command)

# Raised, since click 8.2, by a group without a command: its message is the help
_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


def _settings() -> dict[str, dict[str, Any]]:
    """The settings files' values, for every command that has an option of that name."""
    values = config.read_settings()
    if values.get("offline") is True:
        config.go_offline()
    return {name: defaults_for(name, values) for name in cli.commands}


def _check_variables() -> None:
    """A mistyped variable would be left out in silence."""
    for name, like in config.unknown_variables():
        meant = f"; did you mean {like}?" if like else ""
        notice(f"the variable {shown(name)} is none that ragvis reads{meant}")


def run(arguments: Sequence[str] | None) -> int:
    """Run a command; returns its exit code, having said what went wrong."""
    _share_cores()
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    try:
        code = cli.main(arguments, prog_name="ragvis", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except RagvisError as error:
        _debug()
        _say(_told(error))
        return error.exit_code
    except click.ClickException as error:
        if isinstance(error, _NO_ARGUMENTS):
            error.show()
        else:
            _say(_misused(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; what was committed is kept")
        return 130
    except BrokenPipeError:
        # The reader went away, as `head` does; a second error at exit would say no more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        _debug()
        _say(f"{error.filename or 'the output'}: {error.strerror}. Check the disk's free space.")
        return 1
    # Whatever is left is our own mistake; the user gets one line, and a traceback on request.
    except Exception as error:  # noqa: BLE001
        _debug()
        name = type(error).__name__
        _say(f"internal error: {name}: {shown(str(error))}. Run with --debug, and report it.")
        return 1


def _share_cores() -> None:
    """PyTorch's threads wait for one another thousands of times an answer. GNU OpenMP has them spin
    for milliseconds at that, while whoever they wait for may have no core: beside another program
    an answer took up to twice as long, for a tenth that spinning saves on an idle machine
    (scripts/bench_shared.py). Torch reads this when it is loaded."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def _told(error: RagvisError) -> str:
    """An error and what to do next, in one line."""
    more = where_indexes_are() if isinstance(error, IndexMissing) else ""
    hint = f"{error.hint.rstrip('.')}." if more else error.hint
    said = [str(error).rstrip(".") + ".", hint, more]
    return shown(" ".join(filter(None, said)))


def _misused(error: click.ClickException) -> str:
    """What click says, and where to read on, in one line as all errors are."""
    said = shown(" ".join(error.format_message().split()))
    said = said[:1].lower() + said[1:] + ("" if said.endswith((".", "?")) else ".")
    context = getattr(error, "ctx", None)
    return f"{said} See {context.command_path if context else 'ragvis'} --help."


def _say(text: str) -> None:
    """The last word, where stderr still takes one."""
    with contextlib.suppress(OSError):
        notice(text)


def _debug() -> None:
    if config.is_set("RAGVIS_DEBUG"):
        traceback.print_exc()
