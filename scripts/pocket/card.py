"""The model card: what the model cannot do first, then figures, then every source and licence."""

from __future__ import annotations

import textwrap
from typing import Any

from ragvis.encoder.pocket_tower import SIDE
from ragvis.errors import UsageError
from ragvis.evaluation.statistics import wilson
from scripts.pocket.pictures import FREE

_FREE = FREE | {"public-domain", "no-known-copyright", "CC-BY-2.0"}
_LIMITS = """\
# Model card: pocket

## What it cannot do

- **Name what it sees in photographs**: {photo} right on unseen ones. Where it seems to know one, it
  has read its file name, or the name that the encoder dared to give it.
- **Go from a picture to what a text says of the thing in it** every time: {both} right; or give two
  values of one thing at once: {two}.
- **Count, read print in pictures, or reason** over more than two sources.
- **Tell values apart that stand close together.** Of a passage with several it takes a
  neighbour's now and then.
- **Refuse every time it should**: it refused {refused} of the text questions that their sources do
  not answer, and answered the rest.
- Languages other than English.

It is there so that everything works with no GPU and no model hub. Do not rely on it for anything
that matters: read the sources it cites.

## What it is

To find by: an image tower of ours (12.7 M parameters, 128 pixels) in the text space of {text}, and
beside it {photo_model} (4.6 M, {side} pixels), which lies in the same space by a linear map and by
its classes' names (trained {photo_trained}). Both see every picture.

To answer: that tower of ours alone, a two-layer connector, and {language} with a LoRA.

The three base models are Apache-2.0 and are fetched from PyPI wheels that are pinned by hash.
"""
_HOW = """\
## How it was trained

As LLaVA is: the connector alone on captions, then connector and LoRA on conversations in the layout
of numbered sources; before that, the tower against the frozen text encoder. `python -m
scripts.pocket` holds the recipe.

{trained}
"""
Measure = tuple[float, int]  # share right, of how many
# The kinds of rows that scripts/pocket/instructions.py makes; "name" was also measured apart, on
# new pictures of known things and on photographs
_NAMES = {
    "text": "one value from numbered texts",
    "two sources": "the same of two things, from a source each",
    "two steps": "what one source says of somebody another one names",
    "docs": "what Python's documentation says of a function",
    "docs: open": "refusing what it leaves open",
    "options": "what a manual says of an option or a parameter",
    "options: open": "refusing an option that the manual's part leaves out",
    "picture and text": "a picture and a text",
    "two facts": "two values of one thing",
    "follow-up": "what leans on the question before it",
    "list": "an entry of a list, or its value",
    "checked": "whether an answer is what the sources say",
    "caption": "describing a picture",
    "which": "which source shows it",
    "is there": "whether a thing is there",
    "name": "naming: new thing",
    "name known": "naming: known thing, new picture",
    "name photo": "naming: photograph",
    "unanswerable": "refusing what the texts do not say",
    "absent": "refusing what the picture does not show",
}


def card(facts: dict[str, Any]) -> str:
    """The card of the weights that a ``pocket.json`` describes.

    Raises:
        UsageError: a source of pictures under a licence that is copyleft, or none we know; or
            measures that are not those of `evaluate`.
    """
    measured = _measured(facts["metrics"])
    head = _LIMITS.format(
        photo=_said(measured, "naming: photograph"),
        both=_said(measured, "a picture and a text"),
        two=_said(measured, "two values of one thing"),
        refused=_said(measured, "refusing what the texts do not say"),
        text=facts["text_encoder"]["name"],
        photo_model=facts["photo_encoder"]["name"],
        side=SIDE,
        photo_trained=facts["photo_encoder"]["trained"],
        language=facts["language_model"]["name"],
    )
    how = _HOW.format(trained=textwrap.fill(facts["trained"], 100))
    figures = _figures(measured) + _finding(facts["metrics"].get("finding", {}))
    return "\n".join([head, figures, how, _sources(facts["training_data"])])


def _measured(metrics: dict[str, Any]) -> dict[str, Measure]:
    """Share right and how many were asked, by what was asked for."""
    right = metrics.get("right")
    if not right:
        raise UsageError("the weights were not measured", "Run `evaluate`, then `package`.")
    return {_NAMES.get(kind, kind): (one["share"], one["n"]) for kind, one in right.items()}


def _said(measured: dict[str, Measure], what: str) -> str:
    return f"{100 * measured[what][0]:.0f} %" if what in measured else "not measured"


def _figures(measured: dict[str, Measure]) -> str:
    lines = [
        "## Figures",
        "",
        "Held out, greedy, made by the generator of its own training data: they say how well the",
        "layout is mastered, not how it does on your documents (for that see the README). Whole",
        "weights, not 8-bit ones; 95 % intervals are Wilson's.",
        "",
        "| asked for | n | right | interval |",
        "|---|---|---|---|",
    ]
    for what, (share, n) in measured.items():
        low, high = wilson(round(share * n), n)
        lines.append(f"| {what} | {n} | {100 * share:.1f} % | {100 * low:.0f}–{100 * high:.0f} |")
    return "\n".join([*lines, ""])


def _finding(measured: dict[str, Any]) -> str:
    """How often a picture's own caption is the first, or among five, of all captions of its row."""
    if not measured:
        return ""
    lines = [
        "",
        "Finding: how often a picture's caption comes first of all captions, or among five, and a",
        "caption's picture of all pictures. Naming: how many pictures the encoder dares to name,",
        "and how many of these names are near the caption as texts. Neither our tower nor the map",
        "was trained on any of them:",
        "",
        "| | pictures | captions | caption found | picture found | named | near |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, found in measured.items():
        i2t, t2i = (" / ".join(f"{x:.0f} %" for x in found[way]) for way in ("i2t", "t2i"))
        of = f"{found['pictures']:,} | {found['captions']}"
        named = f"{found['named']:.0f} % | {found['right']:.0f} %"
        lines.append(f"| {what} | {of} | {i2t} | {t2i} | {named} |")
    lines += ["", *(note for found in measured.values() if (note := found.get("note")))]
    return "\n".join([*lines, ""])


def _sources(data: dict[str, Any]) -> str:
    lines = ["## Data, licences, attribution", "", "| pictures from | how many | licences |"]
    lines.append("|---|---|---|")
    for name, about in sorted(data["images"].items()):
        wrong = [one for one in about["licences"] if one not in _FREE]
        if wrong:
            raise UsageError(f"{name} is under {wrong[0]}", "Leave its pictures out.")
        lines.append(f"| {name} | {about['images']:,} | {', '.join(about['licences'])} |")
    lines += ["", f"Captions: {data['captions']}.", "", "Credits:", ""]
    lines += [f"- {credit}" for credit in data["attribution"]]
    lines += ["", "Texts:", ""]
    lines += [f"- {name}: {about}" for name, about in data["text"].items()]
    return "\n".join(lines) + "\n"
