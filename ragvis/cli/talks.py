"""What a person can talk about: an index, or one picture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ragvis.cli.ask import print_below, print_cut, source_lines
from ragvis.cli.conversation import Conversation, Journal
from ragvis.cli.left_out import tell_left_out
from ragvis.cli.output import notice, preview, shown
from ragvis.cli.scope import nothing_to_search, tell_scope
from ragvis.errors import BadFile, UsageError
from ragvis.index import picture_of
from ragvis.logs import record_of, record_of_picture_chat
from ragvis.media.source import load_picture

if TYPE_CHECKING:
    from ragvis.assistant import AnswerStream, VisionChat
    from ragvis.assistant.prepared import AskOptions
    from ragvis.generator.choice import ModelChoice
    from ragvis.index import Index
    from ragvis.types import Source

_STEP_BY_STEP = "\nLet's think step by step."


class Talk(ABC):
    """One conversation, and the commands that mean something in it."""

    about: str  # one line, safe on a terminal

    @abstractmethod
    def say(self, line: str) -> Iterator[str]:
        """The answer's pieces."""

    @abstractmethod
    def image(self, name: str) -> None:
        """``/image``: bring a picture in."""

    @abstractmethod
    def filter(self, conditions: str) -> None:
        """``/filter``: search some files alone, or with no conditions all of them."""

    @abstractmethod
    def new(self) -> None:
        """``/new``: forget what was said."""

    @property
    @abstractmethod
    def is_logged(self) -> bool:
        """Whether it is kept, what is typed included."""

    @abstractmethod
    def turns(self) -> list[tuple[str, str]]:
        """Every question with its answer."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What was placed so far, by number."""
        return ()

    @abstractmethod
    def after(self) -> None:
        """Print what belongs below the answer that was just read."""


class IndexTalk(Talk):
    """Questions that are answered from an index."""

    def __init__(
        self, index: Index, chosen: ModelChoice, options: AskOptions, goes_on: bool, logged: bool
    ) -> None:
        self._index = index
        self._talk = Conversation(index, chosen, options, goes_on, logged)
        self._pictures: list[str] = []  # for the next question
        self._stream: AnswerStream | None = None
        self.about = f"about {shown(str(index.path))}"
        self._tell_nothing()

    def _tell_nothing(self) -> bool:
        why = nothing_to_search(self._index, self._talk.filter)
        if why is not None:
            notice(shown(why))
        return why is not None

    def filter(self, conditions: str) -> None:
        self._talk.filter = conditions or None
        if not self._tell_nothing():
            which = f"files that match {shown(conditions)!r}" if conditions else "all files"
            notice(f"from now on {which} are searched; what was said stays")

    @property
    def is_logged(self) -> bool:
        return self._talk.is_logged

    def new(self) -> None:
        self._talk.begin_anew()

    def say(self, line: str) -> Iterator[str]:
        self._stream = self._talk.chat.stream(line, self._pictures)
        self._pictures = []
        return iter(self._stream)

    def image(self, name: str) -> None:
        preview(load_picture(name))  # a wrong name is said now, and not with the question
        self._pictures.append(name)
        notice(f"{shown(name)} goes with your next question")

    def turns(self) -> list[tuple[str, str]]:
        return self._talk.turns

    @property
    def sources(self) -> tuple[Source, ...]:
        return self._talk.chat.sources

    def after(self) -> None:
        if self._stream is not None:
            self._talk.log(record_of(self._stream))
            print_below(self._stream.answer)
            if self._stream.answer.abstained:
                tell_scope(self._index, self._stream.options.filter)
            tell_left_out(self._index, self._stream.answer)


class PictureTalk(Talk):
    """A conversation about a picture, with no index."""

    def __init__(self, name: str, chat: VisionChat, cot: bool, logged: bool) -> None:
        self._chat = chat
        self._chat.resume(name)
        self._cot = cot
        self._logged = logged
        self.about = f"about {shown(name)}"
        self.new()

    @property
    def is_logged(self) -> bool:
        return self._journal.is_on

    def filter(self, conditions: str) -> None:
        del conditions
        raise UsageError("a conversation about one picture searches no files", "Leave out --image.")

    def new(self) -> None:
        self._journal = Journal(self._logged)
        self._chat.resume()

    def say(self, line: str) -> Iterator[str]:
        return self._chat.reply_stream(line + _STEP_BY_STEP * self._cot)

    def image(self, name: str) -> None:
        self._chat.resume(name)
        self.new()
        preview(self._chat.picture)
        notice(f"about {shown(name)}")

    def after(self) -> None:
        print_cut(self._chat.generator.usage.finish_reason)
        self._journal.add(record_of_picture_chat(self._chat))
        click.echo()

    def turns(self) -> list[tuple[str, str]]:
        said = [turn.text for turn in self._chat.transcript]
        return list(zip(said[::2], said[1::2], strict=True))


def show(source: Source) -> None:
    """``/show``: a source in full, its picture where the terminal can show one."""
    click.echo(source_lines(source, whole=True))
    if source.hit.modality == "image" and source.hit.sha256:
        try:
            preview(picture_of(source.hit))
        except (BadFile, UsageError) as error:
            notice(shown(str(error)))
