"""``ragvis status``."""

from __future__ import annotations

from pathlib import Path

import click

from ragvis.cli.left_out import unread_lines
from ragvis.cli.output import index_option, json_option, notice, print_json, shown
from ragvis.types import SCHEMA_VERSION

DAMAGED = 6


@click.command("status")
@click.option("--verify", is_flag=True, help="Read every page and checksum of the index.")
@index_option
@json_option
def command(verify: bool, index: Path, as_json: bool) -> int:
    """Say what the index holds."""
    from ragvis.index import Index

    with Index.open(index, notice) as opened:
        problems = opened.verify() if verify else []
        status = opened.status()
    if as_json:
        known = {"schema_version": SCHEMA_VERSION, "verified": verify}
        print_json({**known, "damaged": problems, **status.to_dict()})
        return DAMAGED if problems else 0
    click.echo(f"index       {shown(status.path)} (generation {status.generation})")
    click.echo(f"encoder     {shown(status.encoder)} ({status.fingerprint[:12]})")
    click.echo(f"files       {status.files}")
    if status.gone:
        click.echo(f"gone        {_gone(status.gone)}")
    click.echo(f"passages    {status.passages}")
    click.echo(f"pictures    {status.images}")
    for model, count in status.features.items():
        click.echo(f"features    {count} pictures as {shown(model)} sees them")
    click.echo(f"on disk     {status.bytes / 2**20:.1f} MiB")
    if verify and not problems:
        click.echo("verified    every page and checksum")
    for problem in problems:
        mended_by = "`ragvis index`, with --features if that wrote it, writes it anew"
        click.echo(f"damaged     {shown(problem)} ({mended_by})")
    for n, line in enumerate(unread_lines(status.unread)):
        click.echo(line if n else f"unread      {line}")
    if status.errors:
        click.echo(f"not read    {status.bad_files}")
        for path, reason in status.errors.items():
            click.echo(f"  {shown(path)}: {shown(reason)}")
    return DAMAGED if problems else 0


def _gone(count: int) -> str:
    what = "1 of them is" if count == 1 else f"{count} of them are"
    return f"{what} not on the disk any more; `ragvis index --prune` forgets them"
