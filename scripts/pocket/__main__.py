"""``python -m scripts.pocket``: a command for each stage of the recipe."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from ragvis.errors import RagvisError, UsageError
from ragvis.models import pocket
from scripts.pocket import conversations, finish, instructions, parts, pictures
from scripts.pocket import smoke as smoke_run
from scripts.pocket.average import average as average_of
from scripts.pocket.card import card as card_of
from scripts.pocket.loop import Plan
from scripts.pocket.photographs import measure, train_photographs
from scripts.pocket.stages import CONNECTOR, Data, stage_1, stage_2
from scripts.pocket.tower import Shape, train_tower

CARD = "MODEL_CARD.md"
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
steps = click.option("--steps", type=click.IntRange(1), required=True, help="Updates.")
images = click.option("--images", type=FOLDER, help="Folder of the pictures, if not the data's.")
template = click.option(
    "--template", default="pocket", show_default=True, help="What the prompts are written in."
)


def stage_options(function: Callable[..., None]) -> Callable[..., None]:
    """What both stages of LLaVA take."""
    for option in (
        template,
        steps,
        click.option(
            "--budget",
            type=click.IntRange(1),
            default=8192,
            show_default=True,
            help="Tokens of a batch; a longer conversation is one by itself.",
        ),
        click.option(
            "--longest",
            type=click.IntRange(1),
            default=2048,
            show_default=True,
            help="Tokens of a conversation; longer ones are left out.",
        ),
        images,
        click.option("--out", type=FOLDER, required=True),
        click.option("--data", type=FILE, required=True, help="LLaVA's conversation JSON."),
        click.option("--base", type=FOLDER, required=True, help="What `assemble` wrote."),
    ):
        function = option(function)
    return function


@click.group()
def recipe() -> None:
    """Train a LLaVA of your own: pocket, or any image tower and language model.

    \b
    Pocket's way:
      pictures, tower, photographs, assemble, instructions, stage1, stage2, export, evaluate,
      package
    LLaVA-1.5's own:
      assemble --vision openai/clip-vit-large-patch14-336 --language lmsys/vicuna-7b-v1.5
        --template vicuna_v1, stage1 --template plain (its 558,000 captions), stage2 --template
        vicuna_v1 (its 665,000 conversations). Weights are held in fp32: 28 GB for the 7B model,
        before activations.
    Yours, as LLaVA-Med did it: the same on captions and conversations about your pictures.

    `pictures` and the training stages go on where they were stopped.
    """


@recipe.command("pictures")
@click.option("--work", type=FOLDER, required=True)
@click.option("--only", multiple=True, metavar="NAME", help="Of the packs these alone.")
@click.option("--side", default=128, show_default=True, help="Pixels.")
def build_pictures(work: Path, only: tuple[str, ...], side: int) -> None:
    """Fetch the icon packs of sources.toml with npm, and draw and list what they hold."""
    wanted = [pack for pack in pictures.packs() if not only or pack.name in only]
    if not wanted:
        known = ", ".join(pack.name for pack in pictures.packs())
        raise UsageError("no such pack", f"Known: {known}.")
    fetched = [(pack, pictures.fetch(pack, work / "packs")) for pack in wanted]
    click.echo(f"{pictures.build(fetched, work / 'pictures', side)} pictures")


@recipe.command("tower")
@click.option("--listed", type=FILE, required=True, help="pictures.jsonl.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--text-encoder", default="pocket", show_default=True, help="An encoder of ragvis.")
@click.option("--batch", default=1024, show_default=True, help="Pictures a step.")
@click.option("--rate", default=1e-3, show_default=True)
@steps
def tower(listed: Path, out: Path, text_encoder: str, batch: int, rate: float, steps: int) -> None:
    """Train an image tower into the space of a frozen text encoder."""
    plan = Plan(steps, rate, decay=0.1)
    trained = train_tower(listed, out, text_encoder, Shape(), plan, batch)
    click.echo(json.dumps(trained.recall))


@recipe.command("photographs")
@click.option("--listed", type=FILE, required=True, help="pictures.jsonl.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--text-encoder", default="pocket", show_default=True, help="An encoder of ragvis.")
@click.option("--rate", default=1e-3, show_default=True)
@steps
def photographs(listed: Path, out: Path, text_encoder: str, rate: float, steps: int) -> None:
    """Map what EfficientNet-Lite0 sees into the space of a frozen text encoder."""
    plan = Plan(steps, rate, decay=0.05)
    click.echo(json.dumps(train_photographs(listed, out, text_encoder, plan).recall))


@recipe.command("measure")
@click.option("--listed", type=FILE, required=True, help="pictures.jsonl.")
@click.option("--encoder", default="pocket", show_default=True, help="An encoder of ragvis.")
def measure_encoder(listed: Path, encoder: str) -> None:
    """Measure how an encoder finds and names the held-out pictures of a list."""
    click.echo(json.dumps(measure(listed, encoder)))


@recipe.command("assemble")
@click.option("--vision", required=True, help="A CLIP or SigLIP: folder or hub id.")
@click.option("--language", default=parts.SMOLLM2, show_default=True, help="Folder or hub id.")
@click.option("--out", type=FOLDER, required=True)
@template
def assemble(vision: str, language: str, out: Path, template: str) -> None:
    """Put a LLaVA together; its connector is random."""
    parts.assemble(vision, language, template, out)


@recipe.command("instructions")
@click.option("--listed", type=FILE, required=True, help="pictures.jsonl.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--split", type=click.Choice(["train", "test"]), default="train", show_default=True)
@click.option("--captions", default=80_000, show_default=True)
@click.option("--turns", default=150_000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def write_instructions(
    listed: Path, out: Path, split: str, captions: int, turns: int, seed: int
) -> None:
    """Write captions.json and conversations.json, in LLaVA's form."""
    instructions.make(listed, split, captions, turns, out, seed)


@recipe.command("stage1")
@stage_options
@click.option("--rate", default=1e-3, show_default=True)
def first(
    base: Path,
    data: Path,
    out: Path,
    rate: float,
    images: Path | None,
    budget: int,
    longest: int,
    steps: int,
    template: str,
) -> None:
    """Learn the connector, on captions."""
    taught = Data(conversations.read(data, images), template, budget, longest)
    stage_1(base, taught, Plan(steps, rate), out)


@recipe.command("stage2")
@stage_options
@click.option("--connector", type=FILE, required=True, help=f"{CONNECTOR} of stage 1.")
@click.option("--rate", default=2e-4, show_default=True)
@click.option("--rank", default=16, show_default=True, help="Of the LoRA.")
@click.option("--lora", type=FOLDER, help="Go on with this one, of an earlier round.")
def second(
    base: Path,
    data: Path,
    connector: Path,
    out: Path,
    rate: float,
    rank: int,
    lora: Path | None,
    images: Path | None,
    budget: int,
    longest: int,
    steps: int,
    template: str,
) -> None:
    """Learn connector and LoRA, on conversations."""
    taught = Data(conversations.read(data, images), template, budget, longest)
    stage_2(base, taught, Plan(steps, rate), out, connector, rank, lora)


@recipe.command("average")
@click.option("--before", type=FOLDER, required=True, help="What an earlier stage 2 wrote.")
@click.option("--after", type=FOLDER, required=True, help="What went on from it.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@click.option("--out", type=FOLDER, required=True)
def average(before: Path, after: Path, share: float, out: Path) -> None:
    """Take the weights between two rounds: new things learned, few old ones lost."""
    average_of(before, after, share, out)


@recipe.command("export")
@click.option("--base", type=FOLDER, required=True, help="What `assemble` wrote.")
@click.option("--trained", type=FOLDER, required=True, help="What the last stage wrote.")
@click.option("--out", type=FOLDER, required=True)
def export(base: Path, trained: Path, out: Path) -> None:
    """Write a checkpoint that `ragvis -m` and transformers load."""
    finish.export(base, trained, out)


@recipe.command("evaluate")
@click.option("--model", type=FOLDER, required=True)
@click.option("--data", type=FILE, required=True, help="Held-out conversations.")
@click.option("--out", type=FOLDER, required=True)
@images
def evaluate(model: Path, data: Path, out: Path, images: Path | None) -> None:
    """Measure a checkpoint: share right and cited exactly, with intervals; ten transcripts."""
    click.echo(json.dumps(finish.evaluate(model, conversations.read(data, images), out), indent=1))


@recipe.command("package")
@click.option("--vision", type=FOLDER, required=True, help="What `tower` wrote.")
@click.option("--photographs", type=FOLDER, required=True, help="What `photographs` wrote.")
@click.option("--trained", type=FOLDER, required=True, help="What stage 2 wrote.")
@click.option("--metrics", type=FILE, required=True, help="What `evaluate` wrote.")
@click.option("--listed", type=FILE, required=True, help="pictures.jsonl.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--how", default=finish.MADE, help="How they were made, for the card.")
def package(
    vision: Path,
    photographs: Path,
    trained: Path,
    metrics: Path,
    listed: Path,
    out: Path,
    how: str,
) -> None:
    """Write what ships of a pocket: weights, a pocket.json that is true of them, its card."""
    measured = json.loads(metrics.read_text("utf-8"))
    facts = finish.package(vision, photographs, trained, measured, listed, out, how)
    (out / CARD).write_text(card_of(facts), "utf-8")


@recipe.command("card")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=pocket.WEIGHTS / CARD
)
def card(out: Path) -> None:
    """Write the model card of the weights that ship."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(card_of(pocket.recipe()), "utf-8")


@recipe.command("smoke")
@click.option("--work", type=FOLDER, required=True)
def smoke(work: Path) -> None:
    """All of it, small, on any CPU in two minutes."""
    started = time.monotonic()
    done = smoke_run.run(work)
    click.echo(f"{done.model}: {time.monotonic() - started:.0f} s; its words are noise")


if __name__ == "__main__":
    try:
        recipe()
    except RagvisError as error:
        click.echo(f"{error}. {error.hint}", err=True)
        sys.exit(error.exit_code)
