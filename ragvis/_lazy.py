"""Heavy packages load on first use, and a missing one is named with its install command."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from ragvis.errors import MissingExtra

_EXTRA_OF = {
    "faiss": "pip install 'ragvis[cpu]' (any machine) or 'ragvis[gpu]' (Linux with an NVIDIA GPU)",
    "langchain_core": "pip install 'ragvis[langchain]'",
    "llama_index": "pip install 'ragvis[llama-index]'",
    "sentence_transformers": "pip install 'ragvis[text]'",
    "openai": "pip install 'ragvis[openai]'",
    "haystack": "pip install 'ragvis[haystack]'",
    "resvg_py": "pip install 'ragvis[train]'",
}


@contextmanager
def uncollected() -> Iterator[None]:
    """For imports: what they make stays, and Python's searching it for garbage again and again
    takes as long as a third of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def require(module: str) -> ModuleType:
    """Import ``module`` now.

    Raises:
        MissingExtra: it is not installed; the hint is the command that installs it.
    """
    try:
        with uncollected():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        if error.name is None or error.name.split(".")[0] != package:
            raise
        hint = _EXTRA_OF.get(package, f"pip install {package}")
        raise MissingExtra(f"{package} is not installed", hint) from error
