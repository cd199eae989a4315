"""What a person says to an assistant that no file answers: greetings, thanks, and questions about
the index itself. They are known as a whole line only, so that a question which begins politely
stays a question."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ragvis.index.status import IndexStatus

# English, German, French, Spanish, Italian, Portuguese, Dutch, Russian, Chinese, Japanese
_GREETINGS = frozenset(
    "hello|hi|hey|good morning|good afternoon|good evening|greetings|"
    "hallo|guten tag|guten morgen|guten abend|moin|servus|grüezi|bonjour|bonsoir|salut|"
    "hola|buenos días|buenas tardes|buenas noches|ciao|buongiorno|buonasera|salve|"
    "olá|oi|bom dia|boa tarde|boa noite|goedemorgen|goedemiddag|goedenavond|hoi|"
    "привет|здравствуй|здравствуйте|добрый день|доброе утро|добрый вечер|"
    "你好|您好|嗨|こんにちは|こんばんは|おはよう|おはようございます".split("|")
)
_THANKS = frozenset(
    "thanks|thank you|many thanks|thanks a lot|thank you very much|thank you so much|thx|cheers|"
    "danke|danke schön|dankeschön|vielen dank|danke sehr|merci|merci beaucoup|"
    "gracias|muchas gracias|grazie|grazie mille|obrigado|obrigada|muito obrigado|muito obrigada|"
    "dank je|dank u|bedankt|dank je wel|dank u wel|спасибо|большое спасибо|"
    "谢谢|謝謝|多谢|ありがとう|ありがとうございます".split("|")
)
_ADDRESSED = re.compile(r"\s+(?:there|all|everyone|ragvis|again)$")
_THINGS = (
    r"(?:(?:the|my|your|our|all|any)\s+)*"
    r"(?:files?|documents?|docs|sources?|pictures?|photos?|images?|notes?|papers?)"
)
_HELD = (
    r"(?:\s+(?:do\s+you|do\s+i|do\s+we|have\s+you|did\s+you|can\s+you|are|is)"
    r"(?:\s+(?:have|know|see|read|search|hold|got|indexed|there|here))*"
    r"(?:\s+in\s+(?:here|there|(?:the|my|your|this)\s+(?:index|collection|folder)))?"
    r"|\s+(?:in|of)\s+(?:the|my|your|this)\s+(?:index|collection)"
    r"|\s+(?:are\s+)?indexed)?"
)
_ABOUT_INDEX = re.compile(
    rf"(?:please\s+)?(?:what|which|how\s+many|list|show(?:\s+me)?)\s+{_THINGS}{_HELD}"
    r"|what(?:\s+is|'s)\s+in\s+(?:the|my|your|this)\s+(?:index|collection)"
    r"|what\s+(?:do\s+you\s+know|can\s+you\s+do|can\s+i\s+ask(?:\s+you)?)"
)
_GREETED = "Hello! Ask me something about your files; I answer from them and name the sources."
_WELCOME = "You are welcome."


def is_small_talk(line: str) -> bool:
    """Whether no file could answer a line."""
    said = _plain(line)
    return said in _GREETINGS | _THANKS or _ABOUT_INDEX.fullmatch(said) is not None


def reply_to(line: str, status: Callable[[], IndexStatus]) -> str:
    """What to say to small talk, "" where a line is something else.

    Args:
        line: as a person typed it.
        status: of the index, asked for only where the line is about it.
    """
    said = _plain(line)
    if said in _GREETINGS:
        return _GREETED
    if said in _THANKS:
        return _WELCOME
    return _holds(status()) if _ABOUT_INDEX.fullmatch(said) else ""


def _plain(line: str) -> str:
    """Lower case, without punctuation and emoji around it, and without whom it is said to."""
    words = re.sub(r"[^\w\s']+", " ", line.casefold()).split()
    return _ADDRESSED.sub("", " ".join(words))


def _holds(status: IndexStatus) -> str:
    def counted(number: int, name: str) -> str:
        return f"{number} {name}" + ("" if number == 1 else "s")

    items = f"{counted(status.passages, 'passage')} and {counted(status.images, 'picture')}"
    return (
        f"The index holds {counted(status.files, 'file')}: {items}. `ragvis status` says more; "
        "`ragvis search` finds files by what is in them."
    )
