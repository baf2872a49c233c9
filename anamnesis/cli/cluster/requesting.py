"""What a person asks of a model: an update of one site, to rest, to go on."""

from dataclasses import dataclass
from typing import Literal

from anamnesis.cli.cluster.connection import Connection
from anamnesis.local.context import chosen
from anamnesis.operator.api import ContinualModel
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.records import ConflictError, InputError

PREFIX = "update.anamnesis.dev/"
TRIES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stands now.

    Attributes:
        model: its name.
        site: that shall be learned.
        counter: how often that was asked for.
    """

    model: str
    site: str
    counter: int


def ask(connection: Connection, model: str, site: str) -> Asked:
    """Raises the counter of a site's requests; of two people at once, both are counted.

    Args:
        connection: to the cluster.
        model: its name; empty: the only one of the namespace.
        site: one of the model's; empty: its only one.

    Raises:
        InputError: there is no such model, or it has no such site; or there are several and none was named.
        ConflictError: others changed the model at every try.
    """
    model = model or _only_model(connection)
    for attempt in range(TRIES):
        found = connection.get(ContinualModel, model)
        site = chosen("--site", [reference.name for reference in found.spec.sites], site)
        counter = _asked_before(connection, found, site) + 1
        metadata = {
            "resourceVersion": found.metadata.resource_version,
            "annotations": {f"{PREFIX}{site}": str(counter)},
        }
        try:
            connection.merge(ContinualModel, model, {"metadata": metadata})
            return Asked(model, site, counter)
        except ConflictError:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


def set_state(connection: Connection, model: str, state: Literal["Active", "Suspended"]) -> None:
    """Makes a model rest or go on."""
    connection.merge(ContinualModel, model, {"spec": {"state": state}})


def _only_model(connection: Connection) -> str:
    models = [each.metadata.name for each in connection.all(ContinualModel)]
    if len(models) != 1:
        raise InputError(f"which model? namespace {connection.namespace} has {', '.join(models) or 'none'}")
    return models[0]


def _asked_before(connection: Connection, model: ContinualModel, site: str) -> int:
    """Returns the highest counter so far: of the annotation, or where that was taken away, of what came of it."""
    text = model.metadata.annotations.get(f"{PREFIX}{site}", "0")
    if not text.isascii() or not text.isdigit():
        name = f"ContinualModel {model.metadata.name}: annotation {PREFIX}{site}"
        raise InputError(f"{name}: expected a whole number, found {text!r}; kubectl annotate --overwrite puts it right")
    updates = [each.spec for each in connection.all(ModelUpdate)]
    return max(
        int(text), *(each.counter for each in updates if (each.model, each.site) == (model.metadata.name, site)), 0
    )
