"""``anamnesis key``: keys of the network, of sites, and for signatures."""

import typer

app = typer.Typer(help="Makes and derives keys.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def key() -> None:
    """Makes and derives keys."""
