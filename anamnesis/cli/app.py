"""The tree of commands, and what happens to errors."""

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from anamnesis.cli.commands import cluster, decisions, demo, ingest, inspection, operator, registry, results, run
from anamnesis.cli.options import format_examples
from anamnesis.records.errors import AnamnesisError

INTERRUPTED_EXIT_CODE = 130


class GuardedGroup(TyperGroup):
    """Turns errors into one clear line and an exit code; ``ANAMNESIS_DEBUG=1`` shows the traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except AnamnesisError as error:
            raise _report_error(error, str(error), error.exit_code) from error
        except KeyboardInterrupt as error:
            raise _report_error(error, "interrupted; the same command continues", INTERRUPTED_EXIT_CODE) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader left: nothing more to tell
            raise typer.Exit(0) from None
        except Exception as error:
            if isinstance(error, typer.Exit | typer.Abort) or hasattr(error, "exit_code"):
                raise
            text = f"unexpected {type(error).__name__}: {error} (ANAMNESIS_DEBUG=1 shows where)"
            raise _report_error(error, text, 1) from error


def _report_error(error: BaseException, text: str, exit_code: int) -> typer.Exit:
    if os.environ.get("ANAMNESIS_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"anamnesis: {text}", file=sys.stderr)
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
        "anamnesis status -f model.yaml --json           where each site stands",
        "anamnesis status -n wards                       the same on the cluster of the kubeconfig",
        'anamnesis approve -f model.yaml sha256:... --why "reviewed"',
    )
    + "\n\nExit codes: 0 done, 1 unexpected, 2 wrong input, 3 refused, 4 conflict, 5 damaged, 130 interrupted.",
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
    """Keeps a medical-imaging model learning as hospitals send data, without forgetting what it knew."""


for command_module in (run, ingest, results, decisions, inspection, cluster, operator, demo):
    command_module.register_commands(app)
app.add_typer(registry.app, name="registry")
