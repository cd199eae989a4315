"""One look at each picture by itself, and what is remembered of it as words (``--images each``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ragvis.composer import Attachment, CitationFilter, Room, compose
from ragvis.generator.sampling import Sampling, Usage, Written
from ragvis.prompts import DESCRIBE, DESCRIBE_FOR, is_refusal

if TYPE_CHECKING:
    from ragvis.generator.choice import Generator
    from ragvis.media.images import Picture
    from ragvis.types import Hit

_LENGTH = Sampling(max_new_tokens=96)


class NoteTaker:
    """Has the model say what each picture shows. ``usage`` sums its tokens up."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.usage = Usage()

    def notes(
        self, question: str, hits: Sequence[Hit], pictures: Mapping[str, Picture]
    ) -> dict[str, str]:
        """What the model says of each picture with a question in mind, by hit id; "" where it can
        say nothing.

        Args:
            question: as asked. Pocket, which was trained on short ones, is not told it.
            hits: the pictures.
            pictures: decoded, by hit id.

        Raises:
            ModelError: the model fails.
            PromptTooLong: the question does not fit beside a picture.
        """
        spec = self._generator.spec
        asked = DESCRIBE_FOR.format(question) if spec.refuses_bare else DESCRIBE
        room = Room(answer=_LENGTH.max_new_tokens)
        shown = [Attachment(hit, pictures[hit.id].size) for hit in hits]
        prompts = [compose(asked, [], [one], {}, spec, room).prompt for one in shown]
        written = [
            self._written(prompt, pictures[hit.id])
            for prompt, hit in zip(prompts, hits, strict=True)
        ]
        return {hit.id: _note(one.text) for hit, one in zip(hits, written, strict=True)}

    def _written(self, prompt: str, picture: Picture) -> Written:
        text = "".join(self._generator.stream(prompt, [picture], _LENGTH))
        used = self._generator.usage
        self.usage = Usage(
            self.usage.prompt_tokens + used.prompt_tokens,
            self.usage.completion_tokens + used.completion_tokens,
            self.usage.reused_tokens + used.reused_tokens,
        )
        return Written(text, used)


def _note(text: str) -> str:
    checked = CitationFilter(())
    said = " ".join((checked.feed(text) + checked.finish()).split())
    return "" if is_refusal(said) else said
