"""``ragvis ask``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragvis.cli.conversation import Conversation
from ragvis.cli.left_out import tell_left_out
from ragvis.cli.options import (
    filter_option,
    images_option,
    joined,
    log_option,
    model_options,
    most_option,
    verify_option,
    words_argument,
)
from ragvis.cli.output import (
    file_option,
    html_option,
    index_option,
    json_option,
    notice,
    print_json,
    shown,
    snippet,
    write_page,
)
from ragvis.cli.scope import nothing_to_search, tell_scope
from ragvis.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from ragvis.assistant import AnswerStream
    from ragvis.assistant.prepared import AskOptions, Pictures
    from ragvis.cli.batch import Batch
    from ragvis.generator.choice import ModelChoice
    from ragvis.generator.sampling import Sampling
    from ragvis.types import Answer, Source

ABSTAINED = 3
FAILED = 1  # some question of a batch
FILE = click.Path(path_type=Path, dir_okay=False)


_HELP = """Answer QUESTION from the index, citing each source as [n].

Several words are one question, quoted or not; `-` reads it from stdin. Exit code 3 means that
the index does not answer it. --filter narrows the search, as `ragvis search` has it; with -c
the conversation keeps its filter until another is given ('' for none).

\b
  ragvis ask "which tool holds a nut?"
  ragvis ask "what is the capital of the country whose flag this is?" -a flag.jpg
  ragvis ask how long is the notice period --filter 'path:contracts type:pdf'
  ragvis ask -c "and how many people live there?"
  ragvis ask --batch questions.jsonl --output answers.jsonl

A batch file holds one question a line: {"question": "…", "id": "…", "images": ["a.jpg"],
"filter": "…"}; all but the question may be left out. Its answers are JSON lines in the same
order. A question that fails gets a line with "error": {"type", "message", "hint"}, the rest
goes on, and the exit code is 1. A batch that is run again goes on where it was, if it has an
--output: it asks what failed again, and then what was not asked yet.
"""


@click.command("ask", help=_HELP)
@words_argument("QUESTION")
@click.option(
    "-a", "--attach", "attached", multiple=True, metavar="IMAGE|URL", help="A picture to ask about."
)
@model_options
@most_option
@filter_option
@verify_option
@images_option
@click.option("-c", "--continue", "goes_on", is_flag=True, help="Go on from the last answer.")
@click.option("--batch", type=FILE, help="Answer the questions of this file (JSON lines) instead.")
@file_option("--output", help="With --batch: add the answers to this file; goes on.")
@click.option(
    "--stop-on-error", is_flag=True, help="With --batch: end at the first question that fails."
)
@click.option("--no-stream", is_flag=True, help="Print the answer when it is whole.")
@click.option("--show-prompt", is_flag=True, help="Also print the exact prompt, on stderr.")
@html_option("Write a page that shows the answer with its evidence.")
@log_option
@index_option
@json_option
def command(
    words: tuple[str, ...],
    attached: tuple[str, ...],
    chosen: ModelChoice,
    sampling: Sampling,
    k: int | None,
    filter: str | None,
    verify: bool,
    images: Pictures,
    goes_on: bool,
    batch: Path | None,
    output: Path | None,
    stop_on_error: bool,
    no_stream: bool,
    show_prompt: bool,
    page: Path | None,
    no_log: bool,
    index: Path,
    as_json: bool,
) -> int:
    from ragvis.assistant.prepared import AskOptions
    from ragvis.cli.batch import Batch
    from ragvis.index import Index

    wanted = AskOptions(k, sampling, verify, images, filter)
    if batch is not None:
        if words or attached or goes_on or page:
            raise UsageError("--batch takes all questions from its file", "Give nothing else.")
        return _answer_all(Batch(batch, output, stop_on_error, not no_log), index, chosen, wanted)
    if output is not None or stop_on_error:
        raise UsageError("--output and --stop-on-error are for --batch", "Leave them out.")
    question = joined(words)
    if question is None:
        raise click.UsageError("Missing argument 'QUESTION'.")
    with Index.open(index, notice) as opened:
        conversation = Conversation(opened, chosen, wanted, goes_on, not no_log)
        stream = conversation.chat.stream(question, attached)
        if show_prompt:
            click.echo(shown(stream.prepared.composed.prompt, keep_lines=True), err=True)
        answer = _read(stream, quietly=as_json or no_stream)
        _finish(stream, conversation, page, as_json, no_stream)
        if answer.abstained:
            tell_scope(opened, stream.options.filter)
        tell_left_out(opened, answer)
    return ABSTAINED if answer.abstained else 0


def _finish(
    stream: AnswerStream,
    conversation: Conversation,
    page: Path | None,
    as_json: bool,
    no_stream: bool,
) -> None:
    """Log an answer, and show it."""
    from ragvis.logs import record_of

    record = record_of(stream)
    number = conversation.log(record)
    _print(stream.answer, as_json, no_stream)
    if page is not None:  # last: the answer is not lost with it
        _write_page(page, record, number)


def _answer_all(batch: Batch, index: Path, chosen: ModelChoice, options: AskOptions) -> int:
    from ragvis.assistant import Assistant
    from ragvis.index import Index
    from ragvis.retriever import Retriever

    with Index.open(index, notice) as opened:
        why = nothing_to_search(opened, options.filter)
        if why is not None:
            notice(shown(why))
        assistant = Assistant(Retriever(opened), **asdict(chosen), tell=notice)
        return FAILED if batch.run(assistant, options) else 0


def _write_page(file: Path, record: dict[str, Any], number: int | None) -> None:
    from ragvis.evidence import page

    write_page(file, page(record, number))


def _print(answer: Answer, as_json: bool, whole: bool) -> None:
    if as_json:
        print_json(answer.to_dict())
        print_cut(answer.finish_reason)
        return
    if whole:
        click.echo(shown(answer.text, keep_lines=True))
    print_below(answer)


def print_below(answer: Answer) -> None:
    """What belongs below an answer on a terminal: that it is cut, doubts, the sources it cites."""
    print_cut(answer.finish_reason)
    _print_doubts(answer)
    _print_sources(answer)


def print_cut(finish_reason: str) -> None:
    """Say why an answer ended, where it is not whole."""
    if finish_reason == "length":
        notice("the answer is cut at max_new_tokens; -o max_new_tokens 1024 gives it more room")
    elif finish_reason != "stop":
        notice(f"the server ended the answer: {shown(finish_reason)}")


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
