"""Keeps the libraries' own progress bars, log lines and warnings out of the user's terminal."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Within it, only exceptions are heard from torch, transformers and open_clip."""
    import transformers.utils.logging as transformers_logging

    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        transformers_logging.enable_progress_bar()
