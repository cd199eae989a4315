"""``ragvis search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragvis.cli.options import filter_option, joined, modality_option, words_argument
from ragvis.cli.output import (
    index_option,
    json_option,
    notice,
    print_json,
    shown,
    snippet,
)
from ragvis.cli.scope import nothing_to_search
from ragvis.types import LEAST_EVIDENCE, MODALITIES, SCHEMA_VERSION, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragvis.retriever.rerank import Reranker
    from ragvis.types import Hit, ModalityChoice


@click.command("search")
@words_argument("QUERY")
@click.option(
    "-a", "--attach", "image", metavar="IMAGE", help="A picture to search by (file or URL)."
)
@click.option("-k", default=8, show_default=True, type=click.IntRange(1, 1000), help="Most hits.")
@modality_option
@filter_option
@click.option("--like", metavar="ID", help="More like this item (an id from --json or --explain).")
@click.option(
    "--diversity",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="How unlike one another the hits shall be.",
)
@click.option(
    "--rerank",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Let the LLaVA model judge the best N passages, and put them in its order.",
)
@click.option(
    "-m", "--model", envvar="RAGVIS_MODEL", metavar="MODEL", help="The model that judges."
)
@click.option("--explain", is_flag=True, help="Show what each score is made of.")
@index_option
@json_option
def command(
    words: tuple[str, ...],
    image: str | None,
    k: int,
    modality: ModalityChoice,
    filter: str | None,
    like: str | None,
    diversity: float,
    rerank: int | None,
    model: str | None,
    explain: bool,
    index: Path,
    as_json: bool,
) -> None:
    """Find passages and pictures for QUERY, for a picture (-a), for both, or for an item (--like).

    Needs no LLaVA model, but for --rerank. Several words are one query, quoted or not; `-` reads
    it from stdin. A score is the probability that a hit is relevant, judged by what unrelated
    queries reach on this very index and by shared words.

    Conditions of --filter are path:GLOB, name:GLOB, type:pdf (or picture, text, ...), after:DATE
    and before:DATE (of the last change); and, of what documents say about themselves, title:,
    author:, tag:, status:, language: and meta.KEY: with a word, a whole value or a GLOB. All must
    hold; the same one twice means either; a minus before one means not.

    \b
      ragvis search red car --modality image -k 20
      ragvis search "warranty" --filter 'path:manuals type:pdf'
      ragvis search "boiler" --filter 'tag:heating -meta.status:draft path:"Photos [2019]"'
    """
    from ragvis.index import Index
    from ragvis.retriever import Retriever

    query = joined(words)
    with Index.open(index, notice) as opened:
        hits = Retriever(opened, _reranker(rerank, model)).search(
            query,
            image=image,
            like=like,
            k=k,
            modality=modality,
            filter=filter,
            diversity=diversity,
        )
        kinds = MODALITIES if modality == "any" else (modality,)
        why = None if hits else nothing_to_search(opened, filter, kinds)
    if why is not None:
        notice(shown(why))
    if as_json:
        print_json(_json(query, modality, hits))
        return
    for hit in hits:
        click.echo(_line(hit) + (_explained(hit) if explain else ""))
    if hits and max(hit.score for hit in hits) < LEAST_EVIDENCE:
        notice("nothing in the index seems to fit; these come nearest")


def _reranker(depth: int | None, model: str | None) -> Reranker | None:
    if depth is None:
        return None
    from ragvis import generator
    from ragvis.models import registry
    from ragvis.retriever.rerank import Reranker

    # Whoever searches is not told of better answers
    return Reranker(generator.load(model or registry.default_names(silent)[1], notice), depth)


def _json(query: str | None, modality: str, hits: Sequence[Hit]) -> dict[str, Any]:
    """``relevant`` says whether anything fits, of each modality that the hits tell of: with
    ``-k 1`` one of them crowds the other out."""
    found_of = {m: [h.score for h in hits if h.modality == m] for m in MODALITIES}
    told = [m for m, scores in found_of.items() if scores or m == modality]
    relevant = {m: max(found_of[m], default=0.0) >= LEAST_EVIDENCE for m in told}
    found = [hit.to_dict() for hit in hits]
    head = {"schema_version": SCHEMA_VERSION, "query": query, "hits": found}
    return {**head, "relevant": relevant}


def _line(hit: Hit) -> str:
    where = shown(hit.path) + (f", page {hit.page}" if hit.page else "")
    section = f" ({shown(hit.section)})" if hit.section else ""
    text = f"\n      {snippet(hit.text)}" if hit.text else ""
    also = "".join(f"\n      also in {shown(path)}" for path in (*hit.paths[1:], *hit.duplicates))
    return f"{hit.score:.2f}  {hit.modality:5}  {where}{section}{text}{also}"


def _explained(hit: Hit) -> str:
    """The parts of a score, in words."""
    parts = [f"{hit.scores['words']:.0%} of the query's wording"]
    for kind, name in (("text", "text"), ("image", "picture")):
        if kind in hit.scores:
            above = hit.scores[f"{kind}_above"]
            place = f"{abs(above):.1f} spreads {'above' if above >= 0 else 'below'}"
            parts.append(
                f"cosine {hit.scores[kind]:.2f} with the {name}, {place} what unrelated "
                "queries reach here"
            )
    if "answers" in hit.scores:
        answers = hit.scores["answers"]
        parts.append(
            f"{hit.scores['first']:.2f} before the model, which would answer: {answers:.0%}"
        )
    if hit.looks_like:
        parts.append(f"looks like: {hit.looks_like}")
    return f"\n      {hit.id}: " + "; ".join(parts)
