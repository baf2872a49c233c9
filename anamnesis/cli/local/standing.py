"""Where a model stands, for people."""

from collections.abc import Iterator

from anamnesis.cli.output import short, table
from anamnesis.operator.plan import Status


def standing(model: str, status: Status) -> Iterator[str]:
    """Yields the champion and one line per site."""
    yield f"{model}: champion {short(status.champion)}"
    rows = [[site.name, site.state.value, site.message] for site in status.sites]
    yield from (f"  {line}" for line in table(["site", "state", ""], rows))
