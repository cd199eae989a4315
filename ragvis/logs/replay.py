"""Asking a logged question again, and saying what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ragvis.assistant import Assistant, VisionChat
from ragvis.assistant.assistant import Chat
from ragvis.assistant.prepared import AskOptions
from ragvis.assistant.vision_chat import Turn
from ragvis.generator.sampling import Sampling
from ragvis.index import Index
from ragvis.logs.log import Entry, sound
from ragvis.logs.record import record_of, record_of_picture_chat
from ragvis.logs.resume import choice_of, resume
from ragvis.prompts import GROUNDED_SYSTEM
from ragvis.retriever import Retriever
from ragvis.types import SCHEMA_VERSION, Tell

_MODEL = ("name", "revision", "quantization", "device", "engine")
_INDEX = ("generation", "encoder", "fingerprint")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that an answer rests on, and that is not what it was."""

    what: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Replay:
    """A logged answer and the one that was given now."""

    entry: Entry
    now: dict[str, Any]  # a record

    @property
    def same(self) -> bool:
        """Whether both say the same, to the letter."""
        before, now = (record["answer"]["answer"] for record in (self.entry.record, self.now))
        return bool(before == now)

    @property
    def changes(self) -> list[Change]:
        """What changed of all that is logged, whether or not the answer did."""
        return changes(self.entry.record, self.now)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of ``ragvis replay``."""
        return {
            "schema_version": SCHEMA_VERSION,
            "id": self.entry.id,
            "same": self.same,
            "before": self.entry.record["answer"],
            "now": self.now["answer"],
            "changes": [asdict(change) for change in self.changes],
        }


def replay(entry: Entry, earlier: Sequence[Entry], tell: Tell) -> Replay:
    """Ask again what was asked, of the same index and model, after the same conversation.

    Args:
        entry: the logged answer.
        earlier: those before it in its conversation, oldest first.
        tell: takes one-line notices.

    Raises:
        RagvisError: as ``Assistant.ask``; the index, a picture or the model may be gone.
    """
    if entry.record["asked"]["index"] is None:
        return Replay(entry, _again_about_picture(entry, earlier, tell))
    return Replay(entry, _again(entry, earlier, tell))


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[Change]:
    """What differs between two records, beside the answers."""
    old, new = before["answer"], now["answer"]
    found = _differences("model", old["model"], new["model"], _MODEL)
    if old["index"] and new["index"]:
        found += _differences("index", old["index"], new["index"], _INDEX)
    found += _differences("", _sources(old), _sources(new))
    found += _differences("version of", before["versions"], now["versions"])
    if before["prompt"] != now["prompt"]:
        found.append(Change("the prompt", *_first_difference(before["prompt"], now["prompt"])))
    return found


def is_drawn_anew(record: dict[str, Any]) -> bool:
    """Whether chance had a part in the answer, and its seed was not given."""
    sampling = record["asked"]["sampling"]
    return bool(sampling["temperature"] > 0 and sampling["seed"] is None)


def _again(entry: Entry, earlier: Sequence[Entry], tell: Tell) -> dict[str, Any]:
    asked = entry.record["asked"]
    with sound(entry):
        shown = asked.get("pictures", "pixels")  # older records have none
        how = Sampling(**asked["sampling"])
        options = AskOptions(asked["k"], how, asked["verify"], shown, asked.get("filter"))
    with Index.open(Path(asked["index"]), tell) as index:
        assistant = Assistant(Retriever(index), **asdict(choice_of(entry)), tell=tell)
        stream = Chat(assistant, options, resume(earlier, tell)).stream(
            asked["question"], asked["images"]
        )
        stream.read()
        return record_of(stream)


def _again_about_picture(entry: Entry, earlier: Sequence[Entry], tell: Tell) -> dict[str, Any]:
    asked = entry.record["asked"]
    with sound(entry):
        how = {"sampling": Sampling(**asked["sampling"]), "system": asked["system"]}
        # Older records have none: pocket was asked as with it, all others as without
        how["refuse"] = asked.get("refuse", GROUNDED_SYSTEM in entry.record["prompt"])
        picture = asked["images"][0]
    chat = VisionChat(**asdict(choice_of(entry)), **how, tell=tell)
    said = [(one.record["asked"]["question"], one.record["answer"]["answer"]) for one in earlier]
    turns = [Turn(*turn) for q, a in said for turn in (("user", q), ("assistant", a))]
    chat.resume(picture, turns)
    chat.reply(asked["question"])
    return record_of_picture_chat(chat)


def _first_difference(before: str, now: str) -> tuple[str, str]:
    """The first line that is not the same in both."""
    pairs = zip_longest(before.splitlines(), now.splitlines(), fillvalue="")
    # Prompts may differ in their line ends alone
    return next((pair for pair in pairs if pair[0] != pair[1]), (before, now))


def _sources(answer: dict[str, Any]) -> dict[str, str]:
    return {f"source [{s['n']}]": f"{s['file']} {s['id']} {s['sha256']}" for s in answer["sources"]}


def _differences(
    of: str, before: dict[str, Any], now: dict[str, Any], names: Sequence[str] = ()
) -> list[Change]:
    names = names or list(dict.fromkeys([*before, *now]))
    return [
        Change(f"{of} {name}".strip(), *(str(one.get(name, "none")) for one in (before, now)))
        for name in names
        if before.get(name) != now.get(name)
    ]
