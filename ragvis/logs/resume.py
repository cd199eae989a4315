"""Taking up a logged conversation."""

from __future__ import annotations

from collections.abc import Sequence

from ragvis.assistant.history import History
from ragvis.errors import BadFile
from ragvis.generator.choice import ModelChoice
from ragvis.logs.log import Entry, sound
from ragvis.logs.record import said_of
from ragvis.types import Tell


def resume(entries: Sequence[Entry], tell: Tell) -> History:
    """The history after these answers, oldest first.

    A turn whose pictures are gone, or are others now, is left out: its prompt cannot be built
    again. ``tell`` says so.

    Raises:
        StorageError: the log holds something else.
    """
    history = History()
    for entry in entries:
        try:
            with sound(entry):
                history.add(said_of(entry.record))
        except BadFile as error:
            question = entry.record["asked"]["question"]
            tell(f"left out of the conversation: {question!r} ({error})")
    return history


def choice_of(entry: Entry) -> ModelChoice:
    """The model that a logged answer asked for.

    Raises:
        StorageError: the log holds something else.
    """
    with sound(entry):
        return ModelChoice(**entry.record["asked"]["model"])
