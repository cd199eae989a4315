"""Settings: where things live, and which value wins.

A flag beats a ``RAGVIS_*`` variable, which beats ``ragvis.toml`` beside the index or in the
current folder, which beats ``config.toml`` in the user's config folder.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import platformdirs

from ragvis.errors import UsageError

DEFAULT_INDEX = Path("indexes") / "default"
_TRUE = {"1", "true", "yes", "on"}


def cache_dir() -> Path:
    """The folder for fetched and converted models (``RAGVIS_CACHE`` overrides it)."""
    chosen = os.environ.get("RAGVIS_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("ragvis", False))


def user_config_file() -> Path:
    """The user's own settings file, which need not exist."""
    return Path(platformdirs.user_config_dir("ragvis", False)) / "config.toml"


def offline() -> bool:
    """Whether nothing may be fetched: ``RAGVIS_OFFLINE`` or ``HF_HUB_OFFLINE``."""
    names = ("RAGVIS_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "").strip().lower() in _TRUE for name in names)


def go_offline() -> None:
    """Make this process and its children offline, whatever library is asked to fetch."""
    for name in ("RAGVIS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"


def read_settings(index: Path | None = None) -> dict[str, Any]:
    """The merged settings files, nearest last.

    Raises:
        UsageError: one of them is not TOML.
    """
    index = index or Path(os.environ.get("RAGVIS_INDEX") or DEFAULT_INDEX)
    merged: dict[str, Any] = {}
    for file in (user_config_file(), Path("ragvis.toml"), index.parent / "ragvis.toml"):
        merged |= _read_toml(file)
    return merged


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file} is not readable TOML: {error}", "Mend or remove it.") from error
