"""Heavy packages load on first use, and a missing one is named with its install command."""

from __future__ import annotations

import importlib
from types import ModuleType

from ragvis.errors import MissingExtra

_EXTRA_OF = {
    "faiss": "pip install 'ragvis[cpu]' (any machine) or 'ragvis[gpu]' (Linux with an NVIDIA GPU)",
}


def require(module: str) -> ModuleType:
    """Import ``module`` now.

    Raises:
        MissingExtra: it is not installed; the hint is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        hint = _EXTRA_OF.get(module, f"pip install {module}")
        raise MissingExtra(f"{module} is not installed", hint) from error
