"""``status``, ``methods``, ``doctor``: how things are."""

import typer

from anamnesis.cli.options import (
    ClusterFiles,
    Context,
    Json,
    ModelName,
    Namespace,
    OptionalFiles,
    OptionalModel,
    examples,
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(
        epilog=examples(
            "anamnesis status                           the namespace of the kubeconfig's context",
            "anamnesis status -n wards chest --json",
            "anamnesis status -f model.yaml             without a cluster",
        )
    )(status)
    app.command(epilog=examples("anamnesis methods", "anamnesis methods --json"))(methods)
    app.command(epilog=examples("anamnesis doctor", "anamnesis doctor -f model.yaml"))(doctor)


def status(
    name: OptionalModel = "",
    files: ClusterFiles = None,
    model: ModelName = "",
    namespace: Namespace = "",
    context: Context = "",
    as_json: Json = False,
) -> None:
    """Says where each model and site stands.

    What it waits for and why, what a person can do about it, and how the champion does. On this machine also what the
    last runs did, and the head of the log.
    """
    from anamnesis.cli.output import show

    if not files:
        from anamnesis.cli.cluster.connection import connect
        from anamnesis.cli.cluster.overview import look
        from anamnesis.cli.cluster.screen import screen
        from anamnesis.records.timestamps import utc_now

        view = look(connect(namespace, context), name or model)
        return show(view.document(), screen(view, utc_now()), as_json)
    from anamnesis.cli.describe import describe_status
    from anamnesis.local.context import select_all
    from anamnesis.local.status import overview

    found = [overview(selected) for selected in select_all(files, name or model)]
    return show(found, (line for each in found for line in describe_status(each)), as_json)


def methods(as_json: Json = False) -> None:
    """Lists the methods and their options."""
    from anamnesis.cli.describe import describe_method
    from anamnesis.cli.output import show
    from anamnesis.operator.api.method import known_methods

    found = list(known_methods().values())
    show(found, (line for entry in found for line in describe_method(entry)), as_json)


def doctor(files: OptionalFiles = None, model: ModelName = "", as_json: Json = False) -> None:
    """Checks this machine, stores, keys, sources.

    With -f also what belongs to the models: whether stores can be reached and can write if absent, the split key, the
    sources. Ends with 2 when something that is needed is not in order.
    """
    from anamnesis.cli.describe import describe_checks
    from anamnesis.cli.output import show
    from anamnesis.local.doctor import examine
    from anamnesis.records import InputError

    found = examine(files or [], model)
    show(found, describe_checks(found), as_json)
    if bad := [check.name for check in found if check.state == "bad"]:
        raise InputError(f"not in order: {', '.join(bad)}")
