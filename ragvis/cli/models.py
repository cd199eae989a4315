"""``ragvis models``."""

from __future__ import annotations

import click

from ragvis.cli.output import notice, shown


@click.group("models")
def group() -> None:
    """List the models ragvis knows by name, or fetch one."""


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
