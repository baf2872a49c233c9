"""``approve``, ``reject``, ``rollback``: what a person decides; each is an entry of the registry's log."""

import typer

from anamnesis.cli.options import Files, Json, ModelName, VersionArgument, Who, Why, examples

_EXAMPLE = "-f model.yaml sha256:4f1c9a --why"


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=examples(f'anamnesis approve {_EXAMPLE} "report of 20 November reviewed"'))(approve)
    app.command(epilog=examples(f'anamnesis reject {_EXAMPLE} "misses small lesions"'))(reject)
    app.command(epilog=examples(f'anamnesis rollback {_EXAMPLE} "complaints from ward 3"'))(rollback)


def approve(
    files: Files, version: VersionArgument, why: Why, who: Who = "", model: ModelName = "", as_json: Json = False
) -> None:
    """Approves a version, by digest.

    It is promoted at once when the gate has nothing else against it.
    """
    from anamnesis.cli.approving import approve_version
    from anamnesis.cli.context import login, select
    from anamnesis.cli.output import show
    from anamnesis.cli.versions import find_version

    selected = select(files, model)
    digest = find_version(selected.registry, version)
    decision = approve_version(selected, digest, who or login(), why)
    show(decision, [f"{decision.verdict.value}: {decision.reason}"], as_json)


def reject(
    files: Files, version: VersionArgument, why: Why, who: Who = "", model: ModelName = "", as_json: Json = False
) -> None:
    """Rejects a version for good.

    Its data is tried again only when it has grown or the configuration is another one.
    """
    from anamnesis.cli.context import login, select
    from anamnesis.cli.output import short, show
    from anamnesis.cli.versions import find_version
    from anamnesis.registry import reject as reject_version

    selected = select(files, model)
    digest = find_version(selected.registry, version)
    entry = reject_version(selected.registry, digest, who or login(), why)
    show(entry, [f"rejected {short(digest)}"], as_json)


def rollback(
    files: Files, version: VersionArgument, why: Why, who: Who = "", model: ModelName = "", as_json: Json = False
) -> None:
    """Makes an earlier champion champion again."""
    from anamnesis.cli.context import login, select
    from anamnesis.cli.output import short, show
    from anamnesis.cli.versions import find_version
    from anamnesis.registry import roll_back

    selected = select(files, model)
    digest = find_version(selected.registry, version)
    entry = roll_back(selected.registry, digest, who or login(), why)
    show(entry, [f"champion is {short(digest)}"], as_json)
