"""``status``, ``methods``, ``doctor``: how things are."""

import typer

from anamnesis.cli.options import Files, Json, ModelName, OptionalFiles, examples


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command(epilog=examples("anamnesis status -f model.yaml", "anamnesis status -f models/ --json"))(status)
    app.command(epilog=examples("anamnesis methods", "anamnesis methods --json"))(methods)
    app.command(epilog=examples("anamnesis doctor", "anamnesis doctor -f model.yaml"))(doctor)


def status(files: Files, model: ModelName = "", as_json: Json = False) -> None:
    """Says where each site stands.

    And what the last runs did, and the head of the log.
    """
    from anamnesis.cli.context import select_all
    from anamnesis.cli.output import show
    from anamnesis.cli.overview import describe, overview

    found = [overview(selected) for selected in select_all(files, model)]
    show(found, (line for each in found for line in describe(each)), as_json)


def methods(as_json: Json = False) -> None:
    """Lists the methods and their options."""
    from anamnesis.cli.output import show
    from anamnesis.cli.overview import describe_method
    from anamnesis.operator.api.method import known_methods

    found = list(known_methods().values())
    show(found, (line for entry in found for line in describe_method(entry)), as_json)


def doctor(files: OptionalFiles = None, model: ModelName = "", as_json: Json = False) -> None:
    """Checks this machine, stores, keys, sources.

    With -f also what belongs to the models: whether stores can be reached and can write if absent, the split key, the
    sources. Ends with 2 when something that is needed is not in order.
    """
    from anamnesis.cli.doctor import describe, examine
    from anamnesis.cli.output import show
    from anamnesis.records import InputError

    found = examine(files or [], model)
    show(found, describe(found), as_json)
    if bad := [check.name for check in found if check.state == "bad"]:
        raise InputError(f"not in order: {', '.join(bad)}")
