"""The command line. Modules here import only typer and the standard library at the top: help appears at once."""


def main() -> None:
    """Runs the command line; the entry point ``anamnesis``."""
    from anamnesis.cli.app import app

    app()
