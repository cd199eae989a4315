"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import NoReturn

# Imports and weights make objects that stay. Searched for garbage as often as Python does by
# default, they cost each command a second.
_RARELY = (50_000, 20, 100)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    gc.set_threshold(*_RARELY)
    atexit.register(gc.freeze)  # the last search takes another second, in a process that is over
    try:
        from ragvis.cli.main import run
    except KeyboardInterrupt:  # while Python was still starting
        sys.exit(130)
    sys.exit(run(arguments))
