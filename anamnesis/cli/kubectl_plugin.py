"""``kubectl anamnesis``: the commands that work on a cluster."""

import typer

from anamnesis.cli.app import GuardedGroup
from anamnesis.cli.app import app as full_app
from anamnesis.cli.options import format_examples

CLUSTER_COMMANDS = (
    "status",
    "report",
    "approve",
    "reject",
    "rollback",
    "withdraw",
    "update",
    "suspend",
    "resume",
    "support-bundle",
)

app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=format_examples(
        "kubectl anamnesis status -n wards", "kubectl anamnesis update -n wards chest --site guangzhou"
    ),
)


@app.callback()
def anamnesis() -> None:
    """Shows models, sites and updates on a cluster, and records decisions of people."""


for command in full_app.registered_commands:
    if command.callback is not None and (command.name or command.callback.__name__) in CLUSTER_COMMANDS:
        app.registered_commands.append(command)
