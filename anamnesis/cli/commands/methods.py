"""``methods``: the learning methods and their options."""

import typer

from anamnesis.cli.options import JsonOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(epilog=format_examples("anamnesis methods", "anamnesis methods --json"))(methods)


def methods(as_json: JsonOption = False) -> None:
    """Lists the methods and their options."""
    from anamnesis.cli.describe import describe_method
    from anamnesis.cli.output import print_result
    from anamnesis.operator.api.method import supported_methods

    entries = list(supported_methods().values())
    print_result(entries, (line for entry in entries for line in describe_method(entry)), as_json)
