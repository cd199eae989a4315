"""Keeps the libraries' own progress bars, log lines and warnings out of the user's terminal."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet() -> Iterator[None]:
    """While something loads, only exceptions are heard from torch, transformers and open_clip.

    The switches are the process's own, so one thread at a time throws them, and puts them back
    as they were.
    """
    import transformers.utils.logging as transformers_logging

    with _ONE_AT_A_TIME:
        before = logging.root.manager.disable
        bars = transformers_logging.is_progress_bar_enabled()
        logging.disable(max(before, logging.WARNING))
        transformers_logging.disable_progress_bar()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)
            if bars:
                transformers_logging.enable_progress_bar()
