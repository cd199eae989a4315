"""Options that several commands have."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragvis.cli.output import from_stdin
from ragvis.errors import UsageError
from ragvis.types import modality_of

if TYPE_CHECKING:
    from collections.abc import Callable


def model_options(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """The options that choose a model and how it is run, given to the command as ``chosen`` (a
    ``ModelChoice``) and ``sampling`` (a ``Sampling``)."""

    @functools.wraps(command)
    def with_both(
        model: str | None,
        quantize: str | None,
        lora: str | None,
        template: str | None,
        options: tuple[tuple[str, str], ...],
        **others: Any,
    ) -> int | None:
        from ragvis.generator.choice import ModelChoice
        from ragvis.generator.sampling import Sampling

        settings = dict(options)
        engine = settings.pop("engine", None)
        chosen = ModelChoice(model, lora, quantize, template, engine)
        return command(chosen=chosen, sampling=Sampling.of(settings), **others)

    return _with_model_options(with_both)


def _with_model_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "-o",
            "--option",
            "options",
            nargs=2,
            multiple=True,
            metavar="KEY VALUE",
            help="Sampling: max_new_tokens, temperature, top_p, top_k, repetition_penalty, "
            "num_beams, seed. And `-o engine bitsandbytes` for 8-bit weights.",
        ),
        click.option("--template", metavar="NAME", help="Conversation template, if not its own."),
        click.option("--lora", metavar="DIR", help="A LoRA (peft) folder to merge into the model."),
        click.option(
            "--quantize",
            type=click.Choice(["8bit", "4bit", "none"]),
            envvar="RAGVIS_QUANTIZE",
            help="Weights of the language model.  [default: 8bit; none for pocket on a CUDA GPU]",
        ),
        click.option(
            "-m",
            "--model",
            envvar="RAGVIS_MODEL",
            metavar="MODEL",
            help="pocket, llava-1.5-7b, any LLaVA hub id or folder; base+lora adds a LoRA "
            "folder; openai:http://host/v1#model asks a server.  [default: llava-1.5-7b on a "
            "CUDA GPU, else pocket]",
        ),
    ):
        function = option(function)
    return function


def words_argument(what: str) -> Callable[..., Any]:
    """A question or query, given to the command as ``words``: quoted, or as several words."""
    return click.argument("words", nargs=-1, metavar=f"[{what}]")


def joined(words: tuple[str, ...]) -> str | None:
    """The words as one text; None where there is none. ``-`` alone reads stdin.

    Raises:
        UsageError: one of several words is a picture's file, as a shell makes them of ``*.jpg``.
    """
    if not words:
        return None
    if len(words) > 1:
        from ragvis.documents import kind_of

        for word in words:
            if kind_of(Path(word)) == "picture" and os.path.isfile(word):
                hint = "Give each picture an -a of its own, or quote the question."
                raise UsageError(f"{word} stands in the question, and is a picture's file", hint)
    return from_stdin(" ".join(words))


modality_option = click.option(
    "--modality",
    metavar="[any|text|image]",
    default="any",
    show_default=True,
    callback=lambda _context, _option, word: modality_of(word),
    help="Passages, pictures, or both; passage and document, picture and photo are understood.",
)
filter_option = click.option(
    "--filter",
    metavar="CONDITIONS",
    help="Search these files alone: 'path:invoices/* type:pdf after:2024-01 -name:draft'; "
    "`ragvis search --help` tells the conditions.",
)
most_option = click.option(
    "-k", type=click.IntRange(1, 100), help="Most sources.  [default: 4 passages, 2 pictures]"
)
log_option = click.option(
    "-n",
    "--no-log",
    is_flag=True,
    envvar="RAGVIS_NO_LOG",
    help="Keep nothing of it: no answer, nothing typed, not the index's folder.",
)
verify_option = click.option(
    "--verify",
    is_flag=True,
    help="Check each sentence against what it cites, and mark doubts. Pocket marks half of its"
    " wrong answers, and a quarter of the right ones.",
)

images_option = click.option(
    "--images",
    type=click.Choice(["pixels", "each"]),
    default="pixels",
    show_default=True,
    help="Several pictures: as many at once as the model was trained on, the rest by their "
    "captions; or each by itself first, the answer then from the model's notes.",
)
