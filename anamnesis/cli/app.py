"""The tree of commands, and how errors become a message and an exit code."""

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from anamnesis.cli.commands import (
    backbones,
    decisions,
    demo,
    doctor,
    evaluate,
    ingest,
    key,
    methods,
    operator,
    patient,
    predict,
    registry,
    report,
    run,
    scratch,
    signing_key,
    status,
    support_bundle,
    suspend,
    testset,
    update,
    withdraw,
)
from anamnesis.cli.options import format_examples
from anamnesis.cli.output import print_note
from anamnesis.records.errors import AnamnesisError
from anamnesis.records.safe_errors import describe_error, format_safe_traceback

INTERRUPTED_EXIT_CODE = 130
OTHER_WORDS_FOR_REASON = ("--why", "--because", "--message", "--comment")


class GuardedGroup(TyperGroup):
    """Turns errors into one clear line and an exit code; ``ANAMNESIS_DEBUG=1`` shows the traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except AnamnesisError as error:
            raise _report_error(error, str(error), error.exit_code) from error
        except KeyboardInterrupt as error:
            raise _report_error(
                error, "interrupted; run the same command again to continue", INTERRUPTED_EXIT_CODE
            ) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader closed the pipe
            raise typer.Exit(0) from None
        except Exception as error:
            if getattr(error, "option_name", "") in OTHER_WORDS_FOR_REASON:
                vars(error)["possibilities"] = ["--reason"]  # the message then asks: did you mean --reason?
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "exit_code"):
                raise
            text = f"{describe_error(error)} (ANAMNESIS_DEBUG=1 shows the traceback)"
            raise _report_error(error, text, 1) from error


def _report_error(error: BaseException, text: str, exit_code: int) -> typer.Exit:
    if os.environ.get("ANAMNESIS_DEBUG") == "1":
        print(format_safe_traceback(error), file=sys.stderr)
    print_note(f"anamnesis: {text}")
    return typer.Exit(exit_code)


app = typer.Typer(
    cls=GuardedGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # importing rich's Markdown would cost 0.2 s at every call
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=format_examples(
        "anamnesis demo                                  four sites, three methods, on this machine",
        "anamnesis run -f model.yaml                     learn every site that is not learned yet",
        "anamnesis status -f model.yaml --json           state of each site",
        "anamnesis status -n wards                       the same on a cluster",
        'anamnesis approve -f model.yaml sha256:... --reason "reviewed"',
    )
    + "\n\nExit codes: 0 success, 1 unexpected error, 2 wrong input, 3 refused, 4 conflict, 5 damaged data, "
    "130 interrupted.",
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        import anamnesis

        print(anamnesis.__version__)
        raise typer.Exit


@app.callback()
def anamnesis(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps a medical imaging model learning from new hospital data without forgetting earlier tasks."""


COMMAND_MODULES = (
    run,
    update,
    ingest,
    evaluate,
    report,
    predict,
    decisions,
    withdraw,
    status,
    methods,
    doctor,
    scratch,
    suspend,
    support_bundle,
    operator,
    demo,
)
"""In the order of the help."""

for command_module in COMMAND_MODULES:
    command_module.register_commands(app)
app.add_typer(registry.app, name="registry")
app.add_typer(backbones.app, name="backbones")
signing_key.register_commands(key.app)
app.add_typer(testset.app, name="testset")
app.add_typer(patient.app, name="patient")
app.add_typer(key.app, name="key")
