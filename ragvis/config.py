"""Settings: where things live, and which value wins.

A flag beats a ``RAGVIS_*`` variable, which beats ``ragvis.toml`` beside the index or in the
current folder, which beats ``config.toml`` in the user's config folder.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from ragvis.errors import UsageError

SERVER = "openai:"  # what the name of a model behind a server begins with
DEFAULT_INDEX = Path("indexes") / "default"
_OFFLINE = ("RAGVIS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = {"1", "true", "yes", "on"}


def cache_dir() -> Path:
    """The folder for fetched and converted models (``RAGVIS_CACHE`` overrides it)."""
    chosen = os.environ.get("RAGVIS_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("ragvis", False))


def is_this_machine(host: str) -> bool:
    """Whether a host of a URL is a loopback address or its name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def state_dir() -> Path:
    """The folder for what ragvis remembers of its use (``RAGVIS_STATE`` overrides it)."""
    chosen = os.environ.get("RAGVIS_STATE")
    return Path(chosen) if chosen else Path(platformdirs.user_state_dir("ragvis", False))


def user_config_file() -> Path:
    """The user's own settings file, which need not exist."""
    return Path(platformdirs.user_config_dir("ragvis", False)) / "config.toml"


def offline() -> bool:
    """Whether nothing may be fetched, by any of the variables that say so."""
    return any(is_set(name) for name in _OFFLINE)


def is_set(name: str) -> bool:
    """Whether a variable of the environment says yes."""
    return os.environ.get(name, "").strip().lower() in _TRUE


def go_offline() -> None:
    """Make this process and its children offline, whatever library is asked to fetch."""
    for name in _OFFLINE:
        os.environ[name] = "1"


def read_settings() -> dict[str, Any]:
    """The user's settings file, and over it ``ragvis.toml`` of the current folder.

    Raises:
        UsageError: one of them is not TOML, or holds what a setting cannot be.
    """
    return _read_toml(user_config_file()) | _of_folder(Path("ragvis.toml"))


def settings_beside(index: Path) -> dict[str, Any]:
    """``ragvis.toml`` in the folder that holds the index. Raises as ``read_settings``."""
    return _of_folder(index.parent / "ragvis.toml")


def _of_folder(file: Path) -> dict[str, Any]:
    """Settings that may have come with a folder of somebody else's."""
    values = _read_toml(file)
    model = str(values.get("model", ""))
    if model.startswith(SERVER) and not is_this_machine(_host(model.removeprefix(SERVER))):
        hint = (
            "Name it with -m, in RAGVIS_MODEL, or in your own settings, if that is what you want."
        )
        raise UsageError(f"{file} would send questions and files to another machine", hint)
    return values


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Mend or remove it.") from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not readable TOML: {error}", "Mend or remove it.") from error
    for name, value in values.items():
        if not isinstance(value, (str, int, float)):
            kind = type(value).__name__
            raise UsageError(f"{file}: {name} is a {kind}", "Give it one value.")
    return values
