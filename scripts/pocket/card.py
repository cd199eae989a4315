"""The model card: what the model cannot do first, then figures, then every source and licence."""

from __future__ import annotations

from typing import Any

from ragvis.errors import UsageError
from ragvis.evaluation.statistics import wilson
from scripts.pocket.pictures import FREE

_FREE = FREE | {"public-domain", "no-known-copyright", "CC-BY-2.0"}
_LIMITS = """\
# Model card: pocket

## What it cannot do

- **Name what it sees in photographs.** It was right on 1 of 100 unseen ones. Where it seems to
  know a picture, it has read its file name.
- **Say reliably what is not in a picture**: {absent} right when asked whether a thing is there,
  where guessing gives 50 %.
- **Tell which of several pictures shows a thing**: {which} right.
- **Count, read print in pictures, or reason** over more than two sources.
- **Tell values apart that stand close together.** Of a passage with several it takes a
  neighbour's now and then.
- **Refuse every time it should**: it answered {answered} of text questions that their sources do
  not answer.
- Languages other than English.

It is there so that everything works with no GPU and no model hub. Do not rely on it for anything
that matters: read the sources it cites.

## What it is

An image tower of ours ({tower} parameters, 128 pixels) in the text space of {text}; a two-layer
connector; {language} with a LoRA. Both base models are Apache-2.0 and are fetched from PyPI wheels
that are pinned by hash.
"""
_HOW = """\
## How it was trained

As LLaVA is: the connector alone on captions, then connector and LoRA on conversations in the layout
of numbered sources; before that, the tower against the frozen text encoder. `python -m
scripts.pocket` holds the recipe. The weights of today were made by an earlier form of it, with more
kinds of pictures and conversations, on one H100 in about 25 minutes; this form was run end to end
at a small size only.
"""
_KINDS = {
    "text": "one value from numbered texts",
    "text_two": "two facts from two sources",
    "follow": "follow-ups",
    "imgtext": "a picture and a text",
    "which": "which source shows it",
    "exist": "whether a thing is there",
    "easyvqa": "easy-VQA shapes",
    "identify_style": "naming: known thing, new style",
    "identify_concept": "naming: new thing",
    "identify_photo": "naming: photograph",
}


def card(facts: dict[str, Any]) -> str:
    """The card of the weights that a ``pocket.json`` describes.

    Raises:
        UsageError: a source of pictures under a licence that is copyleft, or none we know.
    """
    held = facts["metrics"]["llava_heldout"]
    head = _LIMITS.format(
        absent=f"{held['exist']['answer']:.0f} %",
        which=f"{held['which']['cites']:.0f} %",
        answered=f"{100 - held['text_nf']['abstained']:.0f} %",
        tower="12.7 M",
        text=facts["text_encoder"]["name"],
        language=facts["language_model"]["name"],
    )
    return "\n".join([head, _figures(held), _HOW, _sources(facts["training_data"])])


def _figures(held: dict[str, Any]) -> str:
    lines = [
        "## Figures",
        "",
        "Held out, greedy, made by the generator of its own training data: they say how well the",
        "layout is mastered, not how it does on your documents (for that see the README). 95 %",
        "intervals are Wilson's.",
        "",
        "| asked for | n | right | interval |",
        "|---|---|---|---|",
    ]
    for kind, what in _KINDS.items():
        name = "answer" if "answer" in held[kind] else "cites"
        lines.append(_row(what, held[kind]["n"], held[kind][name]))
    refused = held["text_nf"]
    lines.append(_row("refusing what the texts do not say", refused["n"], refused["abstained"]))
    return "\n".join([*lines, ""])


def _row(what: str, n: int, percent: float) -> str:
    low, high = wilson(round(percent / 100 * n), n)
    return f"| {what} | {n} | {percent:.1f} % | {100 * low:.0f}–{100 * high:.0f} |"


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
    lines += [f"- {name}: {licence}" for name, licence in data["text"].items()]
    return "\n".join(lines) + "\n"
