"""``suspend``, ``resume``, ``support-bundle``: what there is on a cluster only."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import ContextOption, JsonOption, ModelArgument, NamespaceOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=format_examples("anamnesis suspend -n wards chest"))(suspend)
    app.command(epilog=format_examples("anamnesis resume -n wards chest"))(resume)
    app.command(
        "support-bundle",
        epilog=format_examples("anamnesis support-bundle -n wards -o wards.tar.gz"),
    )(support_bundle)


def suspend(
    model: ModelArgument, namespace: NamespaceOption = "", context: ContextOption = "", as_json: JsonOption = False
) -> None:
    """Begins no update of a model on a cluster.

    A run that lives goes on to its end, and nothing is decided about what it brings. Scheduled evaluations go on.
    """
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.requesting import set_state
    from anamnesis.cli.output import print_result

    set_state(connect(namespace, context), model, "Suspended")
    print_result({"model": model, "state": "Suspended"}, [f"{model} is suspended"], as_json)


def resume(
    model: ModelArgument, namespace: NamespaceOption = "", context: ContextOption = "", as_json: JsonOption = False
) -> None:
    """Lets a suspended model go on."""
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.requesting import set_state
    from anamnesis.cli.output import print_result

    set_state(connect(namespace, context), model, "Active")
    print_result({"model": model, "state": "Active"}, [f"{model} is active"], as_json)


def support_bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; must not exist.")] = Path(
        "support-bundle.tar.gz"
    ),
    namespace: NamespaceOption = "",
    operator_namespace: Annotated[
        str, typer.Option("--operator-namespace", help="Where the operator runs; by default the same namespace.")
    ] = "",
    context: ContextOption = "",
    as_json: JsonOption = False,
) -> None:
    """Writes what helps to find a fault on a cluster.

    Resources with their statuses, events, the operator's logs, versions. No Secrets, no images, no patients: look
    into it before you send it; MANIFEST.json lists what is inside, and what could not be read.
    """
    from anamnesis.cli.cluster.support_bundle.archive import write_bundle
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.output import print_result
    from anamnesis.records.timestamps import utc_now

    connection = connect(namespace, context)
    bundle = write_bundle(connection, output, operator_namespace or connection.namespace, utc_now())
    missing_lines = [*(f"  not there: {name}: {reason}" for name, reason in bundle.missing.items())]
    print_result(bundle, [f"{output}: {len(bundle.files)} files", *missing_lines], as_json)
