"""``suspend``, ``resume``, ``support-bundle``: what there is on a cluster only."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import Context, Json, ModelArgument, Namespace, examples


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=examples("anamnesis suspend -n wards chest"))(suspend)
    app.command(epilog=examples("anamnesis resume -n wards chest"))(resume)
    app.command(
        "support-bundle",
        epilog=examples("anamnesis support-bundle -n wards -o wards.tar.gz"),
    )(support_bundle)


def suspend(model: ModelArgument, namespace: Namespace = "", context: Context = "", as_json: Json = False) -> None:
    """Begins no update of a model on a cluster.

    A run that lives goes on to its end, and nothing is decided about what it brings. Scheduled evaluations go on.
    """
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.requesting import set_state
    from anamnesis.cli.output import show

    set_state(connect(namespace, context), model, "Suspended")
    show({"model": model, "state": "Suspended"}, [f"{model} is suspended"], as_json)


def resume(model: ModelArgument, namespace: Namespace = "", context: Context = "", as_json: Json = False) -> None:
    """Lets a suspended model go on."""
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.requesting import set_state
    from anamnesis.cli.output import show

    set_state(connect(namespace, context), model, "Active")
    show({"model": model, "state": "Active"}, [f"{model} is active"], as_json)


def support_bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; must not exist.")] = Path(
        "support-bundle.tar.gz"
    ),
    namespace: Namespace = "",
    operator_namespace: Annotated[
        str, typer.Option("--operator-namespace", help="Where the operator runs; by default the same namespace.")
    ] = "",
    context: Context = "",
    as_json: Json = False,
) -> None:
    """Writes what helps to find a fault on a cluster.

    Resources with their statuses, events, the operator's logs, versions. No Secrets, no images, no patients: look
    into it before you send it; MANIFEST.json lists what is inside, and what could not be read.
    """
    from anamnesis.cli.cluster.bundle import write_bundle
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.output import show
    from anamnesis.records.timestamps import utc_now

    connection = connect(namespace, context)
    written = write_bundle(connection, output, operator_namespace or connection.namespace, utc_now())
    lines = [*(f"  not there: {name}: {why}" for name, why in written.missing.items())]
    show(written, [f"{output}: {len(written.files)} files", *lines], as_json)
