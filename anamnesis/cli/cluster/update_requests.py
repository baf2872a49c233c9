"""What a person asks of a model: an update of one site, to rest, to go on."""

from dataclasses import dataclass
from typing import Literal

from anamnesis.cli.cluster.connection import Connection
from anamnesis.local.context import resolve_name
from anamnesis.operator.api import ContinualModel
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.records import ConflictError, InputError

UPDATE_ANNOTATION_PREFIX = "update.anamnesis.dev/"
MAXIMUM_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RequestedUpdate:
    """A request as it stands now.

    Attributes:
        model: its name.
        site: that shall be learned.
        counter: how often that was asked for.
    """

    model: str
    site: str
    counter: int


def request_update(connection: Connection, model: str, site: str) -> RequestedUpdate:
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
    for attempt in range(MAXIMUM_ATTEMPTS):
        resource = connection.get(ContinualModel, model)
        site = resolve_name("--site", [reference.name for reference in resource.spec.sites], site)
        counter = _highest_counter(connection, resource, site) + 1
        metadata = {
            "resourceVersion": resource.metadata.resource_version,
            "annotations": {f"{UPDATE_ANNOTATION_PREFIX}{site}": str(counter)},
        }
        try:
            connection.patch(ContinualModel, model, {"metadata": metadata})
            return RequestedUpdate(model, site, counter)
        except ConflictError:
            if attempt == MAXIMUM_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def set_state(connection: Connection, model: str, state: Literal["Active", "Suspended"]) -> None:
    """Makes a model rest or go on."""
    connection.patch(ContinualModel, model, {"spec": {"state": state}})


def _only_model(connection: Connection) -> str:
    models = [model.metadata.name for model in connection.list_all(ContinualModel)]
    if len(models) != 1:
        raise InputError(f"which model? namespace {connection.namespace} has {', '.join(models) or 'none'}")
    return models[0]


def _highest_counter(connection: Connection, model: ContinualModel, site: str) -> int:
    """Returns the highest counter so far: of the annotation, or where that was taken away, of what came of it."""
    text = model.metadata.annotations.get(f"{UPDATE_ANNOTATION_PREFIX}{site}", "0")
    if not text.isascii() or not text.isdigit():
        name = f"ContinualModel {model.metadata.name}: annotation {UPDATE_ANNOTATION_PREFIX}{site}"
        raise InputError(f"{name}: expected a whole number, found {text!r}; kubectl annotate --overwrite puts it right")
    update_specs = [update.spec for update in connection.list_all(ModelUpdate)]
    return max(
        int(text), *(spec.counter for spec in update_specs if (spec.model, spec.site) == (model.metadata.name, site)), 0
    )
