"""``anamnesis patient``: withdraw patients of a site."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import (
    AuthorOption,
    FilesOption,
    JsonOption,
    ModelOption,
    SiteOption,
    format_examples,
)

app = typer.Typer(help="Withdraws patients of a site.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    """Keeps the name of the only command."""


@app.command(
    epilog=format_examples(
        "anamnesis patient withdraw -f model.yaml --site guangzhou --reason consent numbers.txt",
        "pass show withdrawn | anamnesis patient withdraw -f model.yaml --site guangzhou --reason consent",
    )
)
def withdraw(
    files: FilesOption,
    reason: Annotated[str, typer.Option("--reason", help="The reason; it is kept in the site's own store.")],
    numbers: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="File with a patient number on each line; without it, they are read from the input."
        ),
    ] = None,
    site: SiteOption = "",
    model: ModelOption = "",
    author: AuthorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Withdraws patients: they are in no later snapshot, training set or test set of the site.

    Patient numbers are read from a file or from the input, so that no shell history has them. Where each file is a
    patient, its name is the number. The site's own store keeps their pseudonyms; no log and no registry names them.
    The next update learns without them. Frozen test sets keep them until the next one is issued.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.local.context import login_name, select_model
    from anamnesis.local.site_changes import withdraw_site_patients

    selected_model = select_model(files, model)
    withdrawn = withdraw_site_patients(
        selected_model,
        selected_model.site(site),
        _read_lines(numbers),
        author=author or login_name(),
        reason=reason,
    )
    lines = [
        f"{withdrawn.site}: {withdrawn.patients} patients are withdrawn; "
        f"{withdrawn.stored_patients} of them have samples there",
        "the champion keeps what it learned of them until an update without them is promoted; to start one, run: "
        f"anamnesis update -f {files[0]} --site {withdrawn.site}",
    ]
    if withdrawn.stored_patients < withdrawn.patients:
        lines.append("numbers without samples are kept: the patients are left out if they arrive; check the spelling")
    if withdrawn.tested_patients:
        lines.append(
            f"{withdrawn.tested_patients} of them are in the frozen test set, whose scores keep them until you run: "
            f"anamnesis testset issue -f {files[0]} --site {withdrawn.site} --reason TEXT"
        )
    print_result(withdrawn, lines, as_json)


def _read_lines(path: Path | None) -> list[str]:
    """Returns the lines of a file or of the input. No message quotes a line, and none quotes the path."""
    import sys

    from anamnesis.records import InputError

    if path is None:
        if sys.stdin.isatty():
            typer.echo("patient numbers, one on each line; end with Ctrl-D:", err=True)
        return sys.stdin.read().splitlines()
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError):
        raise InputError(
            "the file with the patient numbers is not readable as UTF-8 text; write one number on each line of a file"
        ) from None
