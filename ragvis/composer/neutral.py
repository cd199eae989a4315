"""Text from outside, made unable to speak as anything but text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ragvis.conversation import IMAGE_TOKEN

_ALWAYS = (IMAGE_TOKEN, "<im_start>", "<im_end>", "<im_patch>")
# Controls, and the invisible characters that reorder or hide what stands beside them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def neutral(text: str, markers: Iterable[str], keep_lines: bool = False) -> str:
    """Text in which no marker is left.

    Whitespace becomes single spaces, so a text cannot fake a source line (unless ``keep_lines``,
    for a person's own messages); control and direction-changing characters go; NFC first,
    because some tokenizers apply it before they look for their special tokens. A marker is broken
    by a space after its first character.
    """
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    return without(markers, text.strip() if keep_lines else " ".join(text.split()))


def without(markers: Iterable[str], text: str) -> str:
    """The text with every marker in it broken, and nothing else changed."""
    found = {m for m in (*_ALWAYS, *markers) if len(m.strip()) > 1}
    pattern = re.compile("|".join(re.escape(m) for m in sorted(found, key=len, reverse=True)))
    while pattern.search(text):  # breaking one marker can leave another that overlapped it
        text = pattern.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
    return text
