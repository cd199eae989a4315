"""``ragvis doctor``."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from ragvis import __version__, config
from ragvis.cli.output import index_option, shown
from ragvis.cli.remembered import where_indexes_are
from ragvis.errors import IndexMissing, MissingExtra, RagvisError


@click.command("doctor")
@index_option
def command(index: Path) -> None:
    """Say what this machine has, and what that means for ragvis."""
    for what, finding in _findings(index):
        click.echo(f"{what:10} {finding}")


def _findings(index: Path) -> Iterator[tuple[str, str]]:
    system = f"{platform.system()} {platform.machine()}"
    yield "ragvis", f"{__version__}, Python {platform.python_version()}, {system}"
    yield "torch", _torch()
    yield "faiss", _faiss()
    yield "pocket", _pocket()
    yield "default", _default()
    yield "cache", _disk(config.cache_dir())
    yield "index", _index(index)
    yield "network", "offline by setting" if config.offline() else "used only to fetch models"


def _torch() -> str:
    import torch

    if not torch.cuda.is_available():
        return (
            f"{torch.__version__}, no CUDA GPU: models run on {torch.get_num_threads()} CPU threads"
        )
    free, total = (n / 2**30 for n in torch.cuda.mem_get_info())
    name = torch.cuda.get_device_name(0)
    return f"{torch.__version__}, {name}, {free:.0f} of {total:.0f} GiB free"


def _faiss() -> str:
    from ragvis.store import vectors

    try:
        return vectors.library()
    except MissingExtra as error:
        return f"not installed: {error.hint}"


def _pocket() -> str:
    from ragvis.models import pocket

    found = pocket.installed()
    return shown(str(found.root)) if found else "not put together yet: ragvis models get pocket"


def _default() -> str:
    from ragvis.models import registry

    reasons: list[str] = []
    encoder, model = registry.default_names(reasons.append)
    return "; ".join([f"encoder {encoder}, model {model}", *reasons])


def _disk(folder: Path) -> str:
    there = next(p for p in (folder, *folder.parents) if p.exists())
    return f"{shown(str(folder))}, {shutil.disk_usage(there).free / 2**30:.0f} GiB free"


def _index(folder: Path) -> str:
    from ragvis.index import Index

    try:
        with Index.open(folder) as opened:
            status = opened.status()
    except RagvisError as error:
        more = where_indexes_are() if isinstance(error, IndexMissing) else ""
        return shown(f"{error}. {error.hint.rstrip('.')}. {more}".rstrip())
    return f"{shown(status.path)}: {status.passages} passages, {status.images} pictures"
