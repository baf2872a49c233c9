"""The command line. Modules import only typer and the standard library at the top, so that help appears fast."""


def main() -> None:
    """Runs the command line; the entry point ``anamnesis``."""
    from anamnesis.cli.app import app

    app()


def plugin() -> None:
    """Runs the cluster commands; the entry point ``kubectl-anamnesis`` for ``kubectl anamnesis``."""
    from anamnesis.cli.kubectl_plugin import app

    app(prog_name="kubectl anamnesis")
