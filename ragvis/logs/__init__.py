"""What was asked and answered: kept on this machine, shown, continued, run again."""

from ragvis.logs.log import Entry, Log, sound
from ragvis.logs.record import record_of, record_of_picture_chat
from ragvis.logs.replay import Replay, replay
from ragvis.logs.resume import choice_of, resume

__all__ = [
    "Entry",
    "Log",
    "Replay",
    "choice_of",
    "record_of",
    "record_of_picture_chat",
    "replay",
    "resume",
    "sound",
]
