"""``ragvis chat``: a conversation over the index, or about one picture with none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ragvis.cli.ask import source_lines
from ragvis.cli.options import (
    filter_option,
    images_option,
    log_option,
    model_options,
    most_option,
    verify_option,
)
from ragvis.cli.output import index_option, notice, shown
from ragvis.errors import RagvisError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ragvis.assistant.prepared import Pictures
    from ragvis.cli.talks import Talk
    from ragvis.generator.choice import ModelChoice
    from ragvis.generator.sampling import Sampling

_HELP = """  /image FILE|URL     a picture for the next question (with --image: begin anew about it)
  /filter CONDITIONS  search these files alone from now on; without conditions all again
  /sources            what the answers rest on, by number
  /show N             source N in full, its picture where the terminal can show one
  /transcript         the conversation so far
  /save FILE          write it down as Markdown
  /new                forget it and begin anew
  /help               this
  /quit               leave (so does Ctrl-D)
  Enter sends, Alt-Enter begins a new line, the arrow keys bring back what you typed before."""


@click.command("chat")
@click.option("--image", metavar="FILE|URL", help="Talk about this picture, without an index.")
@click.option("--system", metavar="TEXT", help="With --image: replaces the model's system text.")
@click.option(
    "--refuse/--no-refuse",
    default=True,
    help="With --image: have it say so when asked for what the picture does not show (default).",
)
@click.option("--cot", is_flag=True, help="With --image: ask it to think step by step.")
@click.option("-c", "--continue", "goes_on", is_flag=True, help="Go on with the last conversation.")
@most_option
@filter_option
@verify_option
@images_option
@model_options
@log_option
@index_option
def command(
    image: str | None,
    system: str | None,
    refuse: bool,
    cot: bool,
    goes_on: bool,
    k: int | None,
    filter: str | None,
    verify: bool,
    images: Pictures,
    chosen: ModelChoice,
    sampling: Sampling,
    no_log: bool,
    index: Path,
) -> None:
    """Talk with the model over the index, or with --image about one picture.

    Follow-up questions may lean on what was said ("and how old is it?"); sources keep their
    numbers. --filter and /filter narrow the search, as `ragvis search` has it. Type /help inside.

    \b
      ragvis chat
      ragvis chat --image tiger.jpg -m llava-1.5-7b
    """
    from ragvis.assistant import VisionChat
    from ragvis.assistant.prepared import AskOptions
    from ragvis.cli.talks import IndexTalk, PictureTalk
    from ragvis.index import Index

    if image is not None:
        _refuse_index_options()
        how = asdict(chosen)
        chat = VisionChat(**how, sampling=sampling, system=system, refuse=refuse, tell=notice)
        _Session(PictureTalk(image, chat, cot, not no_log)).run()
        return
    if system is not None or cot or not refuse:
        raise UsageError(
            "--system, --no-refuse and --cot are for --image", "Over an index they have no part."
        )
    with Index.open(index, notice) as opened:
        wanted = AskOptions(k, sampling, verify, images, filter)
        _Session(IndexTalk(opened, chosen, wanted, goes_on, not no_log)).run()


def _refuse_index_options() -> None:
    """Raises:
    UsageError: an option was given that needs an index; a setting may well be there.
    """
    given = click.get_current_context().get_parameter_source
    for option, name in (("-c", "goes_on"), ("--filter", "filter")):
        if given(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"{option} is for a conversation over the index", "Leave it out.")


class _Session:
    """Reads messages until the person leaves."""

    def __init__(self, talk: Talk) -> None:
        from ragvis.cli.lines import Lines

        self._talk = talk
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: click.echo(_HELP),
            "/image": self._image,
            "/filter": talk.filter,
            "/sources": self._sources,
            "/show": self._show,
            "/transcript": lambda _: click.echo(self._transcript("{}: {}")),
            "/save": self._save,
            "/new": lambda _: talk.new(),
        }
        self._lines = Lines([*self._commands, "/quit"], talk.is_logged)

    def run(self) -> None:
        notice(f"{self._talk.about}; /help lists what you can type")
        while True:
            try:
                line = self._lines.read()
                if line is None or line in ("/quit", "/exit"):
                    return
                self._take(line)
            except KeyboardInterrupt:
                notice("stopped; Ctrl-D leaves")
            except RagvisError as error:  # costs one answer, not the conversation
                notice(f"{shown(str(error))}. {shown(error.hint)}")

    def _take(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word in self._commands:
            self._commands[word](rest.strip())
        elif word.startswith("/") and "/" not in word[1:]:
            raise UsageError(f"no command {word}", "/help lists them.")
        elif line:
            self._print(self._talk.say(line))
            self._talk.after()

    def _print(self, pieces: Iterator[str]) -> None:
        try:
            for piece in pieces:
                click.echo(shown(piece, keep_lines=True), nl=False)
        finally:
            click.echo()

    def _image(self, name: str) -> None:
        if not name:
            raise UsageError("/image needs a picture", "For example: /image tiger.jpg")
        self._talk.image(name)

    def _sources(self, _: str) -> None:
        for source in self._talk.sources:
            click.echo(source_lines(source))
        if not self._talk.sources:
            notice("no sources yet")

    def _show(self, number: str) -> None:
        from ragvis.cli.talks import show

        found = [s for s in self._talk.sources if str(s.n) == number]
        if not found:
            raise UsageError(f"no source {number or 'without a number'}", "/sources lists them.")
        show(found[0])

    def _transcript(self, form: str) -> str:
        turns = (pair for q, a in self._talk.turns() for pair in (("user", q), ("assistant", a)))
        return "\n".join(form.format(role, shown(text, keep_lines=True)) for role, text in turns)

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("/save needs a file name", "For example: /save talk.md")
        sources = "\n\n".join(source_lines(s, whole=True).strip() for s in self._talk.sources)
        text = self._transcript("**{}**: {}\n") + ("\n## Sources\n\n" + sources if sources else "")
        try:
            with Path(name).expanduser().open("x", encoding="utf-8") as file:
                file.write(text + "\n")
        except (OSError, ValueError, RuntimeError) as error:  # the last two: what is no name
            why = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"{name}: {why}", "Choose another file.") from error
        notice(f"saved to {shown(name)}")
