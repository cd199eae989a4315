"""``ragvis chat``: a conversation about one picture, with no index."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ragvis.cli.ask import model_options
from ragvis.cli.output import notice, shown
from ragvis.errors import RagvisError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragvis.assistant import VisionChat
    from ragvis.media.images import Picture

_HELP = """  /image FILE|URL   begin anew about another picture
  /transcript       the conversation so far
  /help             this
  /quit             leave (so does Ctrl-D)"""


@click.command("chat")
@click.option("--image", required=True, metavar="FILE|URL", help="The picture to talk about.")
@click.option("--system", metavar="TEXT", help="Replaces the model's own system text.")
@model_options
def command(
    image: str,
    system: str | None,
    model: str | None,
    quantize: str | None,
    lora: str | None,
    template: str | None,
    options: tuple[tuple[str, str], ...],
) -> None:
    """Talk with the model about a picture. Type /help inside.

    \b
      ragvis chat --image tiger.jpg -m llava-1.5-7b
    """
    from ragvis.assistant import VisionChat
    from ragvis.generator.sampling import Sampling
    from ragvis.media.source import load_picture

    chosen = dict(options)
    engine = chosen.pop("engine", None)
    chat = VisionChat(
        model,
        lora=lora,
        quantize=quantize,
        template=template,
        engine=engine,
        sampling=Sampling.of(chosen),
        system=system,
        tell=notice,
    )
    _Session(chat, image, load_picture(image)).run()


class _Session:
    """Reads lines until the person leaves."""

    def __init__(self, chat: VisionChat, name: str, picture: Picture) -> None:
        self._chat = chat
        self._name = name
        self._picture = picture
        self._begun = False

    def run(self) -> None:
        notice(f"about {shown(self._name)}; /help lists what you can type")
        while (line := self._read()) is not None:
            word, _, rest = line.partition(" ")
            if word in ("/quit", "/exit"):
                return
            if word == "/help":
                click.echo(_HELP)
            elif word == "/transcript":
                self._print_transcript()
            elif word == "/image":
                self._change(rest.strip())
            elif line:
                self._say(line)

    def _read(self) -> str | None:
        if sys.stdin.isatty():
            click.echo("> ", nl=False)
        line = sys.stdin.readline()
        return line.strip() if line else None

    def _change(self, name: str) -> None:
        from ragvis.media.source import load_picture

        try:
            self._picture = load_picture(name)
        except RagvisError as error:
            notice(f"{shown(str(error))}. {error.hint}")
            return
        self._begun = False
        notice(f"about {shown(name)}")

    def _say(self, line: str) -> None:
        """An answer that fails or is broken off costs that answer, not the conversation."""
        try:
            for piece in self._pieces(line):
                click.echo(shown(piece, keep_lines=True), nl=False)
            self._begun = True
        except RagvisError as error:
            notice(f"{shown(str(error))}. {error.hint}")
        except KeyboardInterrupt:
            notice("stopped; Ctrl-D leaves")
        click.echo()

    def _pieces(self, line: str) -> Iterator[str]:
        if self._begun:
            return self._chat.reply_stream(line)
        return self._chat.start_stream(self._picture, line)

    def _print_transcript(self) -> None:
        for turn in self._chat.transcript:
            click.echo(f"{turn.role}: {shown(turn.text, keep_lines=True)}")
