"""``scratch``: the images that this machine has prepared for networks, and their removal."""

import os
from typing import Annotated

import typer

from anamnesis.cli.options import JsonOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(epilog=format_examples("anamnesis scratch", "anamnesis scratch --clear"))(scratch)


def scratch(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all prepared images of this machine.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Shows where prepared images are stored, and how much.

    Training and evaluation prepare the images of a split once, at the network's size, in the folder ANAMNESIS_SCRATCH
    (by default in the user's cache), and store features of frozen networks beside them. They are not encrypted and
    never leave the machine; what was not used for longest is removed where all exceeds ANAMNESIS_SCRATCH_GIB (64). What
    is removed is computed again when it is needed.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.storage.scratch import Scratch, describe_scratch

    folder = Scratch.of_environment(os.environ)
    removed = folder.remove_all() if clear else 0
    lines = [describe_scratch(folder)]
    if clear:
        lines.insert(0, f"removed {removed / 2**30:.1f} GiB")
    entries = [{"folder": str(entry.folder), "bytes": entry.bytes, "used": entry.used} for entry in folder.entries()]
    print_result({"folder": str(folder.root), "removed_bytes": removed, "entries": entries}, lines, as_json)
