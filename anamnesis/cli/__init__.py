"""The command line. Modules here import only typer and the standard library at the top: help appears at once."""


def main() -> None:
    """Runs the command line; the entry point ``anamnesis``."""
    from anamnesis.cli.app import app

    app()


def plugin() -> None:
    """Runs the commands that speak to a cluster; the entry point ``kubectl-anamnesis``, for ``kubectl anamnesis``."""
    from anamnesis.cli.kubectl_plugin import app

    app(prog_name="kubectl anamnesis")
