"""``ragvis eval``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragvis.cli.options import images_option, model_options
from ragvis.cli.output import (
    html_option,
    index_option,
    json_option,
    notice,
    print_json,
    progress,
    shown,
    write_page,
)
from ragvis.cli.scope import nothing_to_search
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.assistant.prepared import AskOptions, Pictures
    from ragvis.evaluation import Comparison, Report
    from ragvis.generator.choice import ModelChoice
    from ragvis.generator.sampling import Sampling

FILE = click.Path(path_type=Path, dir_okay=False)
_LISTED = 10  # missing files, before "and N more"


@click.command("eval")
@click.argument("file", required=False, type=FILE)
@click.option("--answers", is_flag=True, help="Also ask the model, and judge what it says.")
@click.option("--verify", is_flag=True, help="With --answers: also check what they cite.")
@images_option
@click.option(
    "--rerank",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Let the model judge the best N passages first.",
)
@html_option("Write a page with plots and every failure.")
@click.option(
    "--compare",
    nargs=2,
    type=FILE,
    metavar="A.json B.json",
    help="Test two evaluations (made with --json) against each other.",
)
@model_options
@index_option
@json_option
def command(
    file: Path | None,
    answers: bool,
    verify: bool,
    images: Pictures,
    rerank: int | None,
    page: Path | None,
    compare: tuple[Path, Path] | None,
    chosen: ModelChoice,
    sampling: Sampling,
    index: Path,
    as_json: bool,
) -> None:
    """Measure finding, and with --answers answering, on the questions in FILE (JSON lines).

    One question a line: {"id", "question", "images": [path]?, "relevant": ["path" or
    "path#page=3" or "path#picture"], "answer": ["accepted string"]?, "answerable": true|false}.
    Each measure comes with a 95 % interval; --json keeps every question's row. Relevant files that
    the index does not hold are named: what asks for them can only be missed.

    \b
      ragvis eval questions.jsonl --answers --json > before.json
      ragvis eval --compare before.json after.json
    """
    if compare:
        _compare(compare, as_json)
        return
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    from ragvis.assistant.prepared import AskOptions

    wanted = AskOptions(None, sampling, verify, images)
    report = _run(file, index, chosen, wanted, answers, rerank)
    if as_json:
        print_json(report.to_dict())
    else:
        click.echo("\n".join(report.lines()))
    _tell_missing(report)
    if page is not None:  # last: what was measured is not lost with it
        from ragvis.evaluation.page import page as as_page

        write_page(page, as_page(report, f"ragvis eval {file.name}"))


def _tell_missing(report: Report) -> None:
    """What the index lacks, so that no one takes it for a weakness of the search."""
    missing = report.about["missing"]
    if not missing:
        return
    some = ", ".join(one["path"] for one in missing[:_LISTED])
    more = f" and {len(missing) - _LISTED} more (--json lists them)" * (len(missing) > _LISTED)
    asked = len({question for one in missing for question in one["questions"]})
    notice(
        f"the index lacks {shown(some)}{more}, which {asked} of {report.about['questions']}"
        " questions want and can only miss. Index what is lacking, or name its index with -i."
    )


def _run(
    file: Path,
    index: Path,
    chosen: ModelChoice,
    options: AskOptions,
    answers: bool,
    rerank: int | None,
) -> Report:
    from ragvis.assistant import Assistant
    from ragvis.evaluation import evaluate, read_questions
    from ragvis.index import Index
    from ragvis.retriever import Retriever
    from ragvis.retriever.rerank import Reranker

    questions = read_questions(file)
    with Index.open(index, notice) as opened, progress("evaluating") as show:
        why = nothing_to_search(opened, None)
        if why is not None:
            notice(shown(why))
        retriever = Retriever(opened)
        assistant = Assistant(retriever, **asdict(chosen), tell=notice)
        if rerank:
            retriever.reranker = Reranker(assistant.generator, rerank)
        asked = assistant if answers else None
        return evaluate(retriever, questions, asked, show, options)


def _compare(files: tuple[Path, Path], as_json: bool) -> None:
    from ragvis.evaluation import compare
    from ragvis.evaluation.report import read_report

    found = compare(*map(read_report, files))
    if as_json:
        rows = [asdict(one) for one in found]
        print_json({"schema_version": SCHEMA_VERSION, "comparison": rows})
        return
    click.echo(f"{'':28}{'A':>8}{'B':>8}{'B - A':>8}   95 % interval        p      n")
    for one in found:
        click.echo(_line(one))


def _line(one: Comparison) -> str:
    change = one.after - one.before
    place = f"{one.low:+.3f} to {one.high:+.3f}"
    means = f"{one.name:28}{one.before:8.3f}{one.after:8.3f}{change:+8.3f}"
    return f"{means}   {place}{one.p:9.4f}{one.n:7}"
