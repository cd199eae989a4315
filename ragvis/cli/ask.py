"""``ragvis ask``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragvis.cli.conversation import Conversation
from ragvis.cli.left_out import tell_left_out
from ragvis.cli.options import (
    images_option,
    log_option,
    model_options,
    most_option,
    verify_option,
)
from ragvis.cli.output import (
    from_stdin,
    html_option,
    index_option,
    json_option,
    notice,
    print_json,
    shown,
    snippet,
    write_page,
)
from ragvis.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from ragvis.assistant import AnswerStream
    from ragvis.assistant.prepared import AskOptions, Pictures
    from ragvis.generator.choice import ModelChoice
    from ragvis.generator.sampling import Sampling
    from ragvis.types import Answer, Source

ABSTAINED = 3
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("ask")
@click.argument("question", required=False)
@click.option(
    "-a", "--attach", "images", multiple=True, metavar="IMAGE|URL", help="A picture to ask about."
)
@model_options
@most_option
@verify_option
@images_option
@click.option("-c", "--continue", "goes_on", is_flag=True, help="Go on from the last answer.")
@click.option("--batch", type=FILE, help="Answer the questions of this file (JSON lines) instead.")
@click.option("--output", type=FILE, help="With --batch: add the answers to this file; goes on.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@click.option("--show-prompt", is_flag=True, help="Also print the exact prompt, on stderr.")
@html_option("Write a page that shows the answer with its evidence.")
@log_option
@index_option
@json_option
def command(
    question: str | None,
    images: tuple[str, ...],
    chosen: ModelChoice,
    sampling: Sampling,
    k: int | None,
    verify: bool,
    shown_as: Pictures,
    goes_on: bool,
    batch: Path | None,
    output: Path | None,
    no_stream: bool,
    show_prompt: bool,
    page: Path | None,
    no_log: bool,
    index: Path,
    as_json: bool,
) -> int:
    """Answer QUESTION from the index, citing each source as [n].

    `-` reads the question from stdin. Exit code 3 means that the index does not answer it.

    \b
      ragvis ask "which tool holds a nut?"
      ragvis ask "what is the capital of the country whose flag this is?" -a flag.jpg
      ragvis ask -c "and how many people live there?"
      ragvis ask --batch questions.jsonl --output answers.jsonl

    A batch file holds one question a line: {"question": "…", "id": "…", "images": ["a.jpg"]};
    id and images may be left out. Its answers are JSON lines in the same order. A batch that was
    stopped goes on where it was, if it has an --output.
    """
    from ragvis.assistant.prepared import AskOptions
    from ragvis.index import Index
    from ragvis.logs import record_of

    wanted = AskOptions(k, sampling, verify, shown_as)
    if batch is not None:
        if question or images or goes_on or page:
            raise UsageError("--batch takes all questions from its file", "Give nothing else.")
        _answer_all(batch, output, index, chosen, wanted, not no_log)
        return 0
    if output is not None:
        raise UsageError("--output is for --batch", "For one answer, redirect: > answer.txt")
    if question is None:
        raise click.UsageError("Missing argument 'QUESTION'.")
    question = from_stdin(question)
    with Index.open(index, notice) as opened:
        conversation = Conversation(opened, chosen, wanted, goes_on, not no_log)
        stream = conversation.chat.stream(question, images)
        if show_prompt:
            click.echo(shown(stream.prepared.composed.prompt, keep_lines=True), err=True)
        answer = _read(stream, quietly=as_json or no_stream)
        tell_left_out(opened, answer)
    record = record_of(stream)
    number = conversation.log(record)
    _print(answer, as_json, no_stream)
    if page is not None:  # last: the answer is not lost with it
        _write_page(page, record, number)
    return ABSTAINED if answer.abstained else 0


def _answer_all(
    batch: Path,
    output: Path | None,
    index: Path,
    chosen: ModelChoice,
    options: AskOptions,
    logged: bool,
) -> None:
    from ragvis.assistant import Assistant
    from ragvis.cli.batch import answer_all
    from ragvis.index import Index
    from ragvis.retriever import Retriever

    with Index.open(index, notice) as opened:
        assistant = Assistant(Retriever(opened), **asdict(chosen), tell=notice)
        answer_all(assistant, batch, output, options, logged)


def _write_page(file: Path, record: dict[str, Any], number: int | None) -> None:
    from ragvis.evidence import page

    write_page(file, page(record, number))


def _print(answer: Answer, as_json: bool, whole: bool) -> None:
    if as_json:
        print_json(answer.to_dict())
        return
    if whole:
        click.echo(shown(answer.text, keep_lines=True))
    print_below(answer)


def print_below(answer: Answer) -> None:
    """What belongs below an answer on a terminal: doubts, and the sources it cites."""
    _print_doubts(answer)
    _print_sources(answer)


def _print_doubts(answer: Answer) -> None:
    doubted = [s for s in answer.support or () if not s.supported]
    for one in doubted:
        said = shown(answer.text[one.start : one.end])
        click.echo(f"\nUnsupported: “{said}” The sources cited may not say this ({one.score:.2f}).")
    if answer.support and not doubted:
        click.echo("checked: what is cited bears the answer out", err=True)


def _read(stream: AnswerStream, quietly: bool) -> Answer:
    for piece in stream:
        if not quietly:
            click.echo(shown(piece, keep_lines=True), nl=False)
    if not quietly:
        click.echo()
    return stream.answer


def _print_sources(answer: Answer) -> None:
    cited = [s for s in answer.sources if s.cited]
    if cited:
        click.echo("\nSources")
    for source in cited:
        click.echo(source_lines(source))
    unseen = [s for s in answer.sources if not s.is_shown]
    uncited = len(answer.sources) - len(cited) - len(unseen)
    if uncited:
        also = "also " if cited else ""
        click.echo(f"\n{uncited} {also}read and not cited (--json lists them)", err=True)
    for dropped in answer.ledger.dropped:
        click.echo(f"{dropped.id} was left out: {dropped.reason}", err=True)
    for photo in unseen:
        click.echo(source_lines(photo), err=True)


def source_lines(source: Source, whole: bool = False) -> str:
    """A source under its number: where it is, and the beginning of its text or all of it."""
    hit = source.hit
    place = f", page {hit.page}" if hit.page else ""
    kind = "picture " if hit.modality == "image" else ""
    line = f"  [{source.n}] {kind}{shown(hit.path)}{place}"
    text = hit.text or source.note
    said = (shown(text, keep_lines=True) if whole else snippet(text)) if text else ""
    if not source.is_shown:
        return f"{line}\n      taken for “{said}”, and not shown to the model"
    return line + (f"\n      “{said}”" if said else "")
