"""``ragvis logs`` and ``ragvis replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragvis.cli.output import (
    html_option,
    json_option,
    notice,
    print_json,
    shown,
    snippet,
    tell,
    write_page,
)
from ragvis.types import SCHEMA_VERSION

if TYPE_CHECKING:
    from ragvis.logs import Entry, Replay
    from ragvis.logs.replay import Change

DIFFERS = 1
NUMBER = click.argument("number", metavar="[ID]", type=click.IntRange(1, 2**63 - 1), required=False)


@click.group("logs")
def group() -> None:
    """The answers so far: what was asked, what entered the model, what it said.

    They stay on this machine. `-n` leaves an answer out; `ragvis logs off` all of them. Removing
    the file that `ragvis logs path` names forgets everything.
    """


@group.command("list")
@click.option(
    "-n", "count", type=click.IntRange(1, 10**6), default=20, show_default=True, help="Newest."
)
@json_option
def list_(count: int, as_json: bool) -> None:
    """The newest answers, one line each."""
    from ragvis.logs import Log

    log = Log()
    entries = log.newest(count)
    if as_json:
        found = [entry.to_dict() for entry in entries]
        print_json({"schema_version": SCHEMA_VERSION, "logs": found})
        return
    for entry in entries:
        click.echo(_line(entry))
    if log.unreadable:
        notice(f"not what was written, and left out: {', '.join(map(str, log.unreadable))}")
    if not log.is_on:
        notice("answers are not logged now; `ragvis logs on` changes that")


@group.command("show")
@NUMBER
@html_option("Write a page that shows the answer with its evidence.")
@json_option
def show(number: int | None, page: Path | None, as_json: bool) -> None:
    """One answer with its sources, model, index and prompt; the last one unless ID is given."""
    from ragvis.logs import Log, sound

    entry = Log().get(number)
    if as_json and page is None:
        print_json(entry.to_dict())
        return
    with sound(entry):
        if page is not None:
            from ragvis.evidence import page as as_page

            write_page(page, as_page(entry.record, entry.id))
        else:
            click.echo("\n".join(_lines(entry)))


@group.command("path")
def path() -> None:
    """Where the log lies."""
    from ragvis.logs import Log

    click.echo(Log().file)


@group.command("off")
def off() -> None:
    """Log no answers from now on; those that are there stay."""
    from ragvis.logs import Log

    Log().switch(False)


@group.command("on")
def on() -> None:
    """Log answers again."""
    from ragvis.logs import Log

    Log().switch(True)


@click.command("replay")
@NUMBER
@json_option
def replay(number: int | None, as_json: bool) -> int:
    """Ask again what answer ID was asked, and say what changed since.

    The same question goes to the same index and model with the same settings, after the same
    conversation. Exit code 1 means that the answer is another one. The last answer is taken
    unless ID is given.
    """
    from ragvis.logs import Log
    from ragvis.logs import replay as ask_again

    log = Log()
    entry = log.get(number)
    found = ask_again(entry, log.before(entry), tell)
    if as_json:
        print_json(found.to_dict())
    else:
        click.echo("\n".join(_compared(found)))
    return 0 if found.same else DIFFERS


def _line(entry: Entry) -> str:
    asked, answer = entry.record["asked"], entry.record["answer"]
    said = snippet(f"{asked['question']} → {answer['answer']}", 100)
    return f"{entry.id:5}  {shown(entry.at[:16]).replace('T', ' ')}  {said}"


def _lines(entry: Entry) -> list[str]:
    record = entry.record
    asked, answer = record["asked"], record["answer"]
    model = answer["model"]
    about = f"index {asked['index']}" if asked["index"] else f"picture {asked['images'][0]}"
    where = shown(about)
    if answer["index"]:
        where += f", generation {answer['index']['generation']}"
    parts = [
        f"{entry.id}  {entry.at}  conversation {entry.talk}",
        f"model {model['name']} ({model['revision']}), {model['quantization']}, {model['device']}",
        where,
        "sampling " + ", ".join(f"{k} {v}" for k, v in asked["sampling"].items()),
        *([f"filter {asked['filter']}"] if asked.get("filter") else []),
        f"\nQuestion: {asked['question']}",
        f"\n{answer['answer']}\n",
        *map(_source, answer["sources"]),
        f"\nPrompt\n{record['prompt'] or '(the model was not asked)'}",
    ]
    return [shown(part, keep_lines=True) for part in parts]


def _source(source: dict[str, Any]) -> str:
    cited = ", cited" if source.get("cited") else ""
    return f"  [{source['n']}] {shown(source['path'])}, sha256 {source['sha256']}{cited}"


def _compared(found: Replay) -> list[str]:
    from ragvis.logs.replay import is_drawn_anew

    before, now = found.entry.record["answer"]["answer"], found.now["answer"]["answer"]
    said = ["The same answer:", now] if found.same else ["Then:", before, "\nNow:", now]
    changed = [_changed(change) for change in found.changes]
    if not found.same and is_drawn_anew(found.now):
        changed.insert(0, "It was drawn by chance: without `-o seed N` no two need be alike.")
    elif not changed:
        changed = ["Index, sources, prompt, model and library versions are what they were."]
    return [shown(part, keep_lines=True) for part in (*said, "", *changed)]


def _changed(change: Change) -> str:
    return f"{change.what}: {snippet(change.before)} → {snippet(change.now)}"
