"""Settings: where things live, and which value wins.

A flag beats a ``RAGVIS_*`` variable, which beats ``ragvis.toml`` beside the index or in the
current folder, which beats ``config.toml`` in the user's config folder.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import platformdirs

from ragvis.errors import UsageError
from ragvis.types import ModalityWord

SERVER = "openai:"  # what the name of a model behind a server begins with
DEFAULT_INDEX = Path("indexes") / "default"
_OFFLINE = ("RAGVIS_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = {"1", "true", "yes", "on"}

# Keys of a settings file: the type of the value, or the words of which it is one. A key is the
# name of the command line's parameter, which takes it as its default.
SETTINGS: Mapping[str, type | tuple[str, ...]] = {
    "index": str,
    "model": str,
    "quantize": ("8bit", "4bit", "none"),
    "lora": str,
    "template": str,
    "encoder": str,
    "text_encoder": str,
    "k": int,
    "filter": str,
    "modality": get_args(ModalityWord),
    "diversity": float,
    "rerank": int,
    "images": ("pixels", "each"),
    "verify": bool,
    "explain": bool,
    "no_stream": bool,
    "no_log": bool,
    "offline": bool,
}
VARIABLES = frozenset(
    f"RAGVIS_{name}"
    for name in (
        "INDEX MODEL QUANTIZE ENCODER TEXT_ENCODER OFFLINE NO_LOG DEBUG CACHE STATE API_KEY "
        "ALLOW_PRIVATE_URLS"
    ).split()
)
_SAID = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


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


def logs_off_file() -> Path:
    """The file that is there while nothing is to be logged."""
    return state_dir() / "logs-off"


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


def unknown_variables() -> list[tuple[str, str]]:
    """``RAGVIS_*`` variables of the environment that nothing reads, each with the nearest name
    that is read, or "". Names of other capitals count as they are written."""
    prefix = "RAGVIS_"
    ours = (name for name in sorted(os.environ) if name.upper().startswith(prefix))
    plain = {name.removeprefix(prefix): name for name in VARIABLES}
    return [
        (name, plain.get(nearest(name[len(prefix) :], plain), ""))
        for name in ours
        if name not in VARIABLES
    ]


def nearest(name: str, known: Iterable[str], least: float = 0.6) -> str:
    """The known name that is most like another one, at least so much (0..1); "" where none is."""
    plain = {one.casefold().replace("-", "_"): one for one in known}
    found = difflib.get_close_matches(name.casefold().replace("-", "_"), plain, 1, least)
    return plain[found[0]] if found else ""


def read_settings() -> dict[str, Any]:
    """The user's settings file, and over it ``ragvis.toml`` of the current folder.

    Raises:
        UsageError: one of them is not TOML, or holds what is no setting.
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
        text = file.read_text("utf-8-sig")  # Windows' editors write a byte order mark
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Mend or remove it.") from error
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not readable TOML: {error}", "Mend or remove it.") from error
    for name, value in values.items():
        _check_setting(file, name, value)
    return values


def _check_setting(file: Path, name: str, value: object) -> None:
    """Raises:
    UsageError: no setting has this name, or this type of value.
    """
    if name not in SETTINGS:
        like = nearest(name, SETTINGS)
        hint = f"Did you mean {like}?" if like else f"The settings are {', '.join(SETTINGS)}."
        raise UsageError(f"{file}: there is no setting {name!r}", hint)
    kind = SETTINGS[name]
    if isinstance(kind, tuple):
        if value not in kind:
            hint = f"One of: {', '.join(kind)}."
            raise UsageError(f"{file}: {name} cannot be {value!r}", hint)
    elif not _is_of(value, kind):
        plain = isinstance(value, str | int | float)
        said = repr(value) if plain else f"a {type(value).__name__}"
        raise UsageError(f"{file}: {name} is {said}", f"It has to be {_SAID[kind]}.")


def _is_of(value: object, kind: type) -> bool:
    """Python takes True for 1, and a setting does not; a whole number is a number."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (kind is float and isinstance(value, int))
