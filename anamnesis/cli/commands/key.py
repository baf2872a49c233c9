"""``anamnesis key``: derive the split key of a member of the network, and replace the key of a site."""

from pathlib import Path
from typing import Annotated

import typer

from anamnesis.cli.options import (
    AuthorOption,
    FilesOption,
    JsonOption,
    ModelOption,
    RequiredReasonOption,
    SiteOption,
    WorkersOption,
    format_examples,
)

app = typer.Typer(
    help="Derives and replaces split keys; makes the keys that sign records.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    epilog=format_examples("anamnesis key derive -f model.yaml --site guangzhou --output guangzhou.key"),
)
def derive(
    files: FilesOption,
    site: Annotated[str, typer.Option("--site", help="Name of the Site at the member; it need not be in the files.")],
    output: Annotated[Path | None, typer.Option(help="New file for the key, readable only by you.")] = None,
    model: ModelOption = "",
) -> None:
    """Derives a site's own key from the network key, for a member that must not have the network key.

    The member puts it into spec.splitKey of the Site. It says nothing about the patients of another site.
    Without --output it is printed.
    """
    from anamnesis.local.context import select_model
    from anamnesis.snapshots import derive_site_key, read_split_key
    from anamnesis.snapshots.keys import write_key_file

    key = derive_site_key(read_split_key(select_model(files, model).network_key), site)
    if output is None:
        print(key.decode())
    else:
        write_key_file(output, key)


@app.command(epilog=format_examples('anamnesis key replace -f model.yaml --site guangzhou --reason "the key was lost"'))
def replace(
    files: FilesOption,
    reason: RequiredReasonOption,
    site: SiteOption = "",
    model: ModelOption = "",
    author: AuthorOption = "",
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Replaces the key in a site's store by the one that the resources give.

    Patients with an image of an earlier snapshot or test set keep their pseudonym, and so their side of the split. The
    log gets both fingerprints and the reason. A command that was interrupted is completed by the same command.
    """
    from anamnesis.cli.output import print_result
    from anamnesis.cli.progress import open_reporter
    from anamnesis.local.context import login_name, select_model
    from anamnesis.local.site_changes import replace_site_key
    from anamnesis.records import short_digest

    selected_model = select_model(files, model)
    with open_reporter() as progress_reporter:
        replaced_key = replace_site_key(
            selected_model,
            selected_model.site(site),
            progress_reporter,
            author=author or login_name(),
            reason=reason,
            workers=workers,
        )
    lines = [f"{replaced_key.site}: the key in force has the fingerprint {short_digest(replaced_key.fingerprint)}"]
    if replaced_key.held_out:
        lines.append(
            f"{replaced_key.held_out} patients were not recognised and never train, because any of them may be in a "
            "test set"
        )
    print_result(replaced_key, lines, as_json)
