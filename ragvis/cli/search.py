"""``ragvis search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ragvis.cli.output import (
    from_stdin,
    index_option,
    json_option,
    notice,
    print_json,
    shown,
    snippet,
)
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.types import Hit


@click.command("search")
@click.argument("query", required=False)
@click.option(
    "-a", "--attach", "image", metavar="IMAGE", help="A picture to search by (file or URL)."
)
@click.option("-k", default=8, show_default=True, type=click.IntRange(1, 1000), help="Most hits.")
@click.option(
    "--modality",
    type=click.Choice(["any", "text", "image"]),
    default="any",
    show_default=True,
    help="Passages, pictures, or both.",
)
@index_option
@json_option
def command(
    query: str | None,
    image: str | None,
    k: int,
    modality: Literal["any", "text", "image"],
    index: Path,
    as_json: bool,
) -> None:
    """Find passages and pictures for QUERY, for a picture (-a), or for both.

    Needs no LLaVA model. `-` reads the query from stdin. Scores run from 0 to 1: 0.5 is clearly
    above what unrelated queries reach on this index.
    """
    from ragvis.index import Index
    from ragvis.retriever import Retriever

    query = from_stdin(query)
    with Index.open(index, notice) as opened:
        hits = Retriever(opened).search(query, image=image, k=k, modality=modality)
    if as_json:
        found = [hit.to_dict() for hit in hits]
        print_json({"schema_version": SCHEMA_VERSION, "query": query, "hits": found})
        return
    for hit in hits:
        click.echo(_line(hit))
    if not hits:
        notice("the index holds nothing of that kind")


def _line(hit: Hit) -> str:
    where = shown(hit.path) + (f", page {hit.page}" if hit.page else "")
    text = f"\n      {snippet(hit.text)}" if hit.text else ""
    return f"{hit.score:.2f}  {hit.modality:5}  {where}{text}"
