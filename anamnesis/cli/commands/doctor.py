"""``doctor``: checks of this machine and of what the models need."""

import typer

from anamnesis.cli.options import JsonOption, ModelOption, OptionalFilesOption, format_examples


def register_commands(app: typer.Typer) -> None:
    """Adds the command of this file."""
    app.command(epilog=format_examples("anamnesis doctor", "anamnesis doctor -f model.yaml"))(doctor)


def doctor(files: OptionalFilesOption = None, model: ModelOption = "", as_json: JsonOption = False) -> None:
    """Checks this machine, stores, keys and sources.

    With -f it also checks what the models need: a store must be reachable and support conditional writes; the split
    key and the sources must be readable. Exits with 2 when a required check fails.
    """
    from anamnesis.cli.describe import describe_checks
    from anamnesis.cli.output import print_result
    from anamnesis.local.doctor import run_checks
    from anamnesis.records import InputError

    checks = run_checks(files or [], model)
    print_result(checks, describe_checks(checks), as_json)
    if failed_checks := [check.name for check in checks if check.state == "bad"]:
        raise InputError(f"failed checks: {', '.join(failed_checks)}; correct the problems in the list above")
