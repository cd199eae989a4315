"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    # Python's last search for garbage would take a second, in a process that is over
    atexit.register(gc.freeze)
    try:
        from ragvis.cli.main import run
    except KeyboardInterrupt:  # while Python was still starting
        sys.exit(130)
    sys.exit(run(arguments))
