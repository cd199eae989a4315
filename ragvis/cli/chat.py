"""``ragvis chat``: a conversation about one picture, with no index."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ragvis.cli.ask import model_options
from ragvis.cli.output import notice, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragvis.assistant import VisionChat

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

    chat = VisionChat(
        model,
        lora=lora,
        quantize=quantize,
        template=template,
        sampling=Sampling.of(dict(options)),
        system=system,
        tell=notice,
    )
    load_picture(image)  # a wrong name is said before the model is loaded
    _Session(chat, image).run()


class _Session:
    """Reads lines until the person leaves."""

    def __init__(self, chat: VisionChat, image: str) -> None:
        self._chat = chat
        self._image = image
        self._begun = False

    def run(self) -> None:
        notice(f"about {shown(self._image)}; /help lists what you can type")
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

    def _change(self, image: str) -> None:
        from ragvis.errors import UsageError
        from ragvis.media.source import load_picture

        try:
            load_picture(image)
        except UsageError as error:
            notice(f"{shown(str(error))}. {error.hint}")
            return
        self._image, self._begun = image, False
        notice(f"about {shown(image)}")

    def _say(self, line: str) -> None:
        pieces: Iterator[str] = (
            self._chat.reply_stream(line)
            if self._begun
            else self._chat.start_stream(self._image, line)
        )
        for piece in pieces:
            click.echo(shown(piece, keep_lines=True), nl=False)
        click.echo()
        self._begun = True

    def _print_transcript(self) -> None:
        for turn in self._chat.transcript:
            click.echo(f"{turn.role}: {shown(turn.text, keep_lines=True)}")
