"""What the commands remember between runs, in the state folder: the indexes that were used last,
and which advice was given today. Whatever cannot be written is forgotten."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from pathlib import Path

import click

from ragvis import config
from ragvis._files import write_private
from ragvis.types import Advice

_MOST = 10  # indexes
_SAID = 5  # of them in an error


def remember_index(context: click.Context, folder: Path) -> None:
    """Put an index in front of those that are known, if it is there and may be remembered."""
    with suppress(OSError):
        if _is_forgetful(context) or not _is_index(folder):
            return
        used, known = folder.absolute(), known_indexes()
        if known[:1] != [used]:
            paths = [str(used), *(str(one) for one in known if one != used)]
            write_private(_indexes_file(), json.dumps(paths[:_MOST], indent=0))


def known_indexes() -> list[Path]:
    """The indexes used last that are still there, the last one first."""
    try:
        listed = json.loads(_indexes_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    paths = (
        [Path(one) for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    )
    return [path for path in paths[:_MOST] if _is_index(path)]


def where_indexes_are() -> str:
    """How to name an index, and which there are; one sentence for the end of an error."""
    known = known_indexes()[:_SAID]
    name = "Name another with -i DIR or RAGVIS_INDEX"
    return f"{name}; used last: {', '.join(map(str, known))}." if known else f"{name}."


def is_due(advice: Advice) -> bool:
    """Whether advice is to be given: not if this very one was given today already."""
    file = config.state_dir() / "advice"
    given = f"{date.today().isoformat()}\n{advice}"
    with suppress(OSError, ValueError):
        if file.read_text("utf-8") == given:
            return False
    with suppress(OSError):
        write_private(file, given)
    return True


def _is_forgetful(context: click.Context) -> bool:
    """``-n``, in whatever way it is said; ``ragvis logs off`` too."""
    default = context.lookup_default("no_log") or config.is_set("RAGVIS_NO_LOG")
    return bool(context.params.get("no_log", default)) or config.logs_off_file().exists()


def _indexes_file() -> Path:
    return config.state_dir() / "indexes.json"


def _is_index(folder: Path) -> bool:
    from ragvis.index.make import is_there

    try:
        return is_there(folder)
    except (OSError, ValueError):
        return False
