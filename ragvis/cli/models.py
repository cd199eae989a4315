"""``ragvis models``."""

from __future__ import annotations

from pathlib import Path

import click

from ragvis.cli.output import notice, shown


@click.group("models")
def group() -> None:
    """List the models ragvis knows by name, fetch one, or convert a checkpoint."""


@group.command("list")
def list_() -> None:
    """Models and encoders with a short name, and which are on this machine.

    Any other LLaVA hub id or folder works as -m, any open_clip name or folder as --encoder.
    """
    from ragvis.models import registry

    for known in registry.KNOWN:
        here = "here" if registry.on_this_machine(known) else "-"
        click.echo(f"{known.kind:8} {known.name:22} {here:5} {known.about}")


@group.command("get")
@click.argument("name")
def get(name: str) -> None:
    """Fetch a model's weights, so that it works offline afterwards."""
    from ragvis.models import registry

    folder = registry.get(name, notice)
    click.echo(f"{shown(name)} is in {shown(folder)}")


@group.command("convert")
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--vision-tower", "tower", metavar="DIR", help="Its CLIP tower, if not the one it names."
)
def convert(source: str, target: Path, tower: str | None) -> None:
    """Rewrite a checkpoint of the original LLaVA code for -m.

    SOURCE is a folder or a hub id in the layout of liuhaotian/llava-v1.5-7b: LLaVA-1.5 and 1.6 on
    Vicuna or Mistral, LLaVA-Med 1.5 and others trained with that code. TARGET is a new folder.

    \b
      ragvis models convert microsoft/llava-med-v1.5-mistral-7b llava-med
      ragvis ask "what does the scan show?" -a scan.png -m llava-med
    """
    from ragvis.models import original

    original.convert(source, target, tower)
    click.echo(f"{shown(source)} is in {shown(str(target))}; use it with -m {shown(str(target))}")
