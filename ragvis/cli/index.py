"""``ragvis index``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragvis.cli.left_out import left_out_line, unread_lines
from ragvis.cli.output import index_option, json_option, notice, print_json, progress, shown
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.errors import FilesGone
    from ragvis.generator.loading import Checkpoint
    from ragvis.index import FeatureReport, Index, IndexReport

_LISTED = 20  # files that could not be read, before "and N more"


Encoders = tuple[str | None, str | None]  # the pictures' and texts', and one beside it for texts


@click.command("index")
@click.argument("paths", nargs=-1, type=click.Path())
@index_option
@click.option(
    "--encoder",
    envvar="RAGVIS_ENCODER",
    metavar="NAME",
    help="For a new index: pocket, an open_clip name (ViT-L-14-336/openai), hf-hub:org/name, or a "
    "folder.  [default: ViT-L-14-336/openai on a CUDA GPU, else pocket]",
)
@click.option(
    "--text-encoder",
    envvar="RAGVIS_TEXT_ENCODER",
    metavar="NAME",
    help="For a new index: a sentence-transformers model (hub id or folder) that embeds the texts "
    "beside the encoder, which is a weak reader where it is a CLIP.",
)
@click.option(
    "--features",
    is_flag=True,
    help="Then also keep what the pictures become for the answering model, so that `ask` encodes "
    "none: 0.15 MB a picture for pocket on a CPU, 4.7 MB for llava-1.5-7b on a GPU. Later runs "
    "keep them up only if they have it too.",
)
@click.option(
    "-m",
    "--model",
    envvar="RAGVIS_MODEL",
    metavar="MODEL",
    help="With --features: the model, as for `ask`.",
)
@click.option(
    "--prune",
    is_flag=True,
    help="Also forget files that are gone with the folders around them, which are kept otherwise: "
    "their drive may not be mounted. Without PATHS: forget all files that are gone.",
)
@click.option("--watch", is_flag=True, help="Keep going: follow changes until Ctrl-C.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
@json_option
def command(
    paths: tuple[str, ...],
    index: Path,
    encoder: str | None,
    text_encoder: str | None,
    features: bool,
    model: str | None,
    prune: bool,
    watch: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the index say what is in PATHS (files and folders).

    New files are added, changed ones read again, vanished ones dropped; unchanged files cost a
    look at their size and time, moved ones a look at their content. Stop it whenever you like and
    run it again: it goes on.

    Read: jpeg png webp gif bmp tiff, txt md html pdf docx. Files of other kinds are counted, and so
    are hidden files and symbolic links, which are left out. A file that cannot be read is reported
    and skipped.
    """
    if not paths and (watch or not prune):
        raise click.UsageError("Missing argument 'PATHS...'.")
    if features and (watch or dry_run):
        raise click.UsageError("--features goes with neither --watch nor --dry-run.")
    # A wrong name is said before the long work begins
    seen_by = _model_that_sees(model) if features else None
    started = time.monotonic()
    how = _How(prune, watch, dry_run, may_ask=not as_json)
    said: list[str] = []  # on what is not read: once, and again when that has changed
    for report in _reports(paths, index, (encoder, text_encoder), how):
        done = {"schema_version": SCHEMA_VERSION, "dry_run": dry_run, **report.to_dict()}
        if not as_json:
            _print(report, index, dry_run, time.monotonic() - started)
            said = _print_left_out(report, said)
        try:
            if seen_by is not None:
                stored = _store_features(index, seen_by)
                done["features"] = stored.to_dict()
                if not as_json:
                    _print_features(stored)
        finally:  # what was indexed is indexed, whatever came of the rest
            if as_json:
                print_json(done)
        started = time.monotonic()


@dataclass(frozen=True, slots=True)
class _How:
    """How a run goes.

    Attributes:
        may_ask: whether a person at a terminal may be asked.
    """

    prune: bool
    watch: bool
    dry_run: bool
    may_ask: bool


def _model_that_sees(model: str | None) -> Checkpoint:
    from ragvis.generator.tower import PictureTower
    from ragvis.models import registry

    return PictureTower.find(model or registry.default_names(notice)[1], notice)


def _store_features(folder: Path, seen_by: Checkpoint) -> FeatureReport:
    from ragvis.generator.tower import PictureTower
    from ragvis.index import Index, store_features

    tower = PictureTower.of(seen_by)
    with Index.open(folder, notice) as opened, progress("pictures for the model") as on_picture:
        return store_features(opened, tower, on_picture)


def _print_features(report: FeatureReport) -> None:
    click.echo(
        f"{report.stored} pictures stored as {shown(report.model)} sees them,"
        f" {report.kept} were there, {report.dropped} dropped"
    )
    _print_bad(report.bad)


def _reports(
    paths: tuple[str, ...], index: Path, encoders: Encoders, how: _How
) -> Iterator[IndexReport]:
    """One report, or one after every change."""
    if how.dry_run and how.watch:
        raise click.UsageError("--dry-run and --watch exclude each other.")
    if not paths:
        yield _pruned(index, how.dry_run)
        return
    if how.dry_run:
        yield _preview(index, paths, how.prune)
        return
    with _open(index, encoders, paths) as opened:
        if how.watch:
            notice("watching; Ctrl-C ends it")
            yield from opened.watch(paths, prune=how.prune)
            return
        yield from _added(opened, paths, how)


def _added(opened: Index, paths: tuple[str, ...], how: _How) -> Iterator[IndexReport]:
    from ragvis.errors import FilesGone

    try:
        with progress("indexing") as on_file:
            report = opened.add(paths, on_file, prune=how.prune)
    except FilesGone as gone:
        report = gone.report
        if not (how.may_ask and _agrees(gone)):
            yield report
            raise
        report.removed, report.gone = report.removed + opened.prune(paths), 0
    yield report


def _agrees(gone: FilesGone) -> bool:
    """Ask the person, if there is one."""
    if not _is_at_a_terminal():
        return False
    notice(shown(str(gone)))
    return click.confirm("Is that so, and shall the index forget them?", err=True)


def _is_at_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _pruned(folder: Path, dry_run: bool) -> IndexReport:
    from ragvis.index import Index, IndexReport

    with Index.open(folder, notice) as opened:
        return IndexReport(removed=opened.status().gone if dry_run else opened.prune())


def _open(folder: Path, encoders: Encoders, paths: tuple[str, ...]) -> Index:
    from ragvis.errors import IndexMissing
    from ragvis.index import Index

    encoder, text_encoder = encoders
    if encoder is None and text_encoder is None:
        try:
            return Index.open(folder, notice)
        except IndexMissing:
            pass  # it is made below
    if not folder.exists():
        Index.preview_new(folder, paths)  # a wrong path is said before anything is made
    return Index.create(folder, encoder, notice, text_encoder=text_encoder)


def _preview(folder: Path, paths: tuple[str, ...], prune: bool) -> IndexReport:
    from ragvis.errors import IndexMissing
    from ragvis.index import Index

    try:
        with Index.open(folder) as opened:
            return opened.preview(paths, prune=prune)
    except IndexMissing:
        return Index.preview_new(folder, paths)


def _print(report: IndexReport, index: Path, dry_run: bool, seconds: float) -> None:
    click.echo(_summary(report) + (" (nothing was done)" if dry_run else ""))
    if report.passages or report.images:
        click.echo(
            f"{report.passages} passages and {report.images} pictures went into"
            f" {shown(str(index))} in {seconds:.1f} s"
        )
    if report.gone and dry_run:
        click.echo(f"{report.gone} more are gone, and would be kept: only --prune forgets them")
    _print_bad(report.bad)


def _print_left_out(report: IndexReport, said: list[str]) -> list[str]:
    lines = [*unread_lines(report.unread), *filter(None, [left_out_line(report.left_out)])]
    for line in lines if lines != said else ():
        click.echo(line)
    return lines


def _summary(report: IndexReport) -> str:
    copies = f" ({report.copies} with the content of another file)" if report.copies else ""
    moved = f" {report.moved} moved," if report.moved else ""
    return (
        f"{report.added} new, {report.changed} changed{copies},{moved}"
        f" {report.unchanged} unchanged, {report.removed} removed"
    )


def _print_bad(bad: dict[str, str]) -> None:
    if bad:
        click.echo(f"{len(bad)} could not be read:")
    for path, reason in list(bad.items())[:_LISTED]:
        click.echo(f"  {shown(path)}: {shown(reason)}")
    if len(bad) > _LISTED:
        click.echo(f"  … and {len(bad) - _LISTED} more (ragvis status lists them)")
