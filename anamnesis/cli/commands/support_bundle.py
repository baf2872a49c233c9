"""``support-bundle``: one archive with everything that helps to find a fault on a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import ContextOption, JsonOption, NamespaceOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command("support-bundle", epilog=format_examples("anamnesis support-bundle -n wards -o wards.tar.gz"))(
        support_bundle
    )


def support_bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; it must not exist.")] = Path(
        "support-bundle.tar.gz"
    ),
    namespace: NamespaceOption = "",
    operator_namespace: Annotated[
        str, typer.Option("--operator-namespace", help="Namespace of the operator. Default: the same namespace.")
    ] = "",
    context: ContextOption = "",
    as_json: JsonOption = False,
) -> None:
    """Writes an archive that helps to find a fault on a cluster.

    It holds resources with their statuses, events, the operator's logs and versions. It holds no Secrets, no images
    and no patient data. Read it before you send it: MANIFEST.json lists the content and every part that is missing.
    """
    from anamnesis.cli.cluster.connection import connect
    from anamnesis.cli.cluster.support_bundle import write_bundle
    from anamnesis.cli.output import print_result
    from anamnesis.records.timestamps import utc_now

    connection = connect(namespace, context)
    bundle = write_bundle(connection, output, operator_namespace or connection.namespace, utc_now())
    missing_lines = [f"  missing: {name}: {reason}" for name, reason in bundle.missing.items()]
    print_result(bundle, [f"{output}: {len(bundle.files)} files", *missing_lines], as_json)
