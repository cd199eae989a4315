"""A conversation over an index as the commands have it: taken up where it was left, and logged."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ragvis.cli.output import notice, shown, tell
from ragvis.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ragvis.assistant import Chat
    from ragvis.assistant.prepared import AskOptions
    from ragvis.generator.choice import ModelChoice
    from ragvis.index import Index
    from ragvis.logs import Entry


class Journal:
    """Logs the answers of one conversation, unless the person does not want that.

    A log that cannot be written costs its line, and not the answer.

    Attributes:
        is_on: whether anything of the conversation is to be kept.
    """

    def __init__(self, wanted: bool, talk: str | None = None) -> None:
        from ragvis.logs import Log
        from ragvis.logs.log import new_talk

        self._log = Log()
        self._talk = talk or new_talk()
        self.is_on = wanted and self._is_switched_on()

    def _is_switched_on(self) -> bool:
        try:
            return self._log.is_on
        except StorageError as error:
            notice(f"not logged: {shown(str(error))}. {error.hint}")
            return False

    def add(self, record: dict[str, Any]) -> int | None:
        """Log an answer; its number, or None where it was not logged."""
        if not self.is_on:
            return None
        try:
            return self._log.add(self._talk, record)
        except StorageError as error:
            notice(f"not logged: {shown(str(error))}. {error.hint}")
            return None


class Conversation:
    """A new conversation, or the last one over the same index.

    Raises:
        UsageError: it is to go on, and there was none.
    """

    def __init__(
        self,
        index: Index,
        chosen: ModelChoice,
        options: AskOptions,
        goes_on: bool,
        logged: bool,
    ) -> None:
        from ragvis.assistant import Assistant, Chat
        from ragvis.logs import resume
        from ragvis.retriever import Retriever

        earlier = _last_talk(index.path) if goes_on else []
        chosen = _same_model(chosen, earlier)
        self._assistant = Assistant(Retriever(index), **asdict(chosen), tell=notice)
        self._options = _same_filter(options, earlier)
        self._journal = Journal(logged, earlier[-1].talk if earlier else None)
        self._logged = logged
        self._before = [
            (e.record["asked"]["question"], e.record["answer"]["answer"]) for e in earlier
        ]
        self.chat: Chat = Chat(self._assistant, self._options, resume(earlier, tell))

    @property
    def turns(self) -> list[tuple[str, str]]:
        """Every question with its answer, those of before with them."""
        return [*self._before, *((a.question, a.text) for a in self.chat.answers)]

    def log(self, record: dict[str, Any]) -> int | None:
        """Log an answer; its number, or None where it was not logged."""
        return self._journal.add(record)

    @property
    def is_logged(self) -> bool:
        """Whether its answers are kept."""
        return self._journal.is_on

    @property
    def filter(self) -> str | None:
        """The files that are searched; None are all."""
        return self._options.filter

    @filter.setter
    def filter(self, conditions: str | None) -> None:
        """Raises:
        UsageError: the conditions are no filter.
        """
        self._options = replace(self._options, filter=conditions)
        self.chat.options = self._options

    def begin_anew(self) -> None:
        """Forget what was said."""
        from ragvis.assistant import Chat

        self._journal = Journal(self._logged)
        self._before = []
        self.chat = Chat(self._assistant, self._options)


def _last_talk(index: Path) -> list[Entry]:
    from ragvis.logs import Log

    found = Log().last_talk(index)
    if not found:
        hint = "Ask without -c first. Answers given with -n, or while logs are off, are not kept."
        raise UsageError(f"no conversation over {index} to go on with", hint)
    return found


def _same_filter(options: AskOptions, earlier: list[Entry]) -> AskOptions:
    """The conversation's own filter, unless another one was given; "" ends it."""
    if options.filter is None and earlier:
        kept = earlier[-1].record["asked"].get("filter")  # older records have none
        if isinstance(kept, str):
            notice(f"the conversation searches files that match {shown(kept)!r}")
            return replace(options, filter=kept)
    return replace(options, filter=options.filter or None)


def _same_model(chosen: ModelChoice, earlier: list[Entry]) -> ModelChoice:
    """The conversation's own model, unless another one was asked for."""
    from ragvis.logs import choice_of

    if not earlier or chosen.model is not None:
        return chosen
    wanted = {name: value for name, value in asdict(chosen).items() if value is not None}
    return replace(choice_of(earlier[-1]), **wanted)
