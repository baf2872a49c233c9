"""Requests of a person to a model on a cluster: update a site, suspend, resume."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from anamnesis.cli.cluster.connection import Connection
from anamnesis.local.context import resolve_name
from anamnesis.operator.api import ContinualModel
from anamnesis.operator.api.annotations import UPDATE_REQUEST_PREFIX
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.records import ConflictError, InputError, UnreachableError

MAXIMUM_ATTEMPTS = 5
POLL_SECONDS = 0.2
STATUS_TIMEOUT_SECONDS = 15.0
"""How long a request waits for the operator to report on a model that is new or was changed."""


@dataclass(frozen=True, slots=True)
class RequestedUpdate:
    """A request for an update.

    Attributes:
        model: name of the model.
        site: name of the site to learn.
        counter: number of the request.
    """

    model: str
    site: str
    counter: int


def request_update(
    connection: Connection,
    model: str,
    site: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RequestedUpdate:
    """Raises the number of a site's requests; two requests at once get two numbers.

    Args:
        connection: to the cluster.
        model: its name; empty: the only one of the namespace.
        site: one of the model's; empty: its only one.
        clock: seconds, for the wait for the model's status.
        sleep: waits for some seconds.

    Raises:
        InputError: there is no such model or site, or there are several and the name is empty.
        UnreachableError: the operator has not reported on the model, so the number of the next request is not known.
        ConflictError: other changes of the model came first at every attempt.
    """
    model = model or only_model(connection)
    deadline = clock() + STATUS_TIMEOUT_SECONDS
    for attempt in range(MAXIMUM_ATTEMPTS):
        resource = connection.get(ContinualModel, model)
        site = resolve_name("--site", [reference.name for reference in resource.spec.sites], site)
        while not _is_reported(resource, site):
            if clock() >= deadline:
                raise UnreachableError(_missing_report_message(connection, resource, site))
            sleep(POLL_SECONDS)
            resource = connection.get(ContinualModel, model)
        counter = _highest_counter(connection, resource, site) + 1
        metadata = {
            "resourceVersion": resource.metadata.resource_version,
            "annotations": {f"{UPDATE_REQUEST_PREFIX}{site}": str(counter)},
        }
        try:
            connection.patch(ContinualModel, model, {"metadata": metadata})
            return RequestedUpdate(model, site, counter)
        except ConflictError:
            if attempt == MAXIMUM_ATTEMPTS - 1:
                raise
    raise AssertionError("no attempt ended the loop: this is a fault of the program; report it with the log")


def set_state(connection: Connection, model: str, state: Literal["Active", "Suspended"]) -> None:
    """Suspends or resumes a model."""
    connection.patch(ContinualModel, model, {"spec": {"state": state}})


def only_model(connection: Connection) -> str:
    """Returns the name of the only model of the namespace.

    Raises:
        InputError: there is none, or there are several.
    """
    models = [model.metadata.name for model in connection.list_all(ContinualModel)]
    if not models:
        raise InputError(
            f"namespace {connection.namespace} has no ContinualModel; create one, or use -n for another namespace"
        )
    if len(models) > 1:
        raise InputError(
            f"namespace {connection.namespace} has several models: {', '.join(models)}; give one of these names"
        )
    return models[0]


def _is_reported(model: ContinualModel, site: str) -> bool:
    """Whether the status is of the present spec and counts the requests that were answered for the site."""
    return model.status.observed_generation >= model.metadata.generation and model.status.site(site) is not None


def _missing_report_message(connection: Connection, model: ContinualModel, site: str) -> str:
    name, status = model.metadata.name, model.status
    return (
        f"ContinualModel {name}: the operator has not reported on site {site} of generation "
        f"{model.metadata.generation} (status.observedGeneration is {status.observed_generation}), so no update was "
        "requested; check that the pod of the operator runs, look for errors with "
        f"kubectl describe continualmodel -n {connection.namespace} {name}, then run the command again"
    )


def _highest_counter(connection: Connection, model: ContinualModel, site: str) -> int:
    """Returns the highest number so far: of the annotation, of the ModelUpdates, and of the answered requests.

    The operator counts answered requests in the registry too: these outlive the model and its ModelUpdates.
    """
    text = model.metadata.annotations.get(f"{UPDATE_REQUEST_PREFIX}{site}", "0")
    if not text.isascii() or not text.isdigit():
        name, annotation = model.metadata.name, f"{UPDATE_REQUEST_PREFIX}{site}"
        raise InputError(
            f"ContinualModel {name}: annotation {annotation}: expected a whole number, found {text!r}; remove the "
            f"annotation: kubectl annotate continualmodel -n {connection.namespace} {name} {annotation}-"
        )
    update_specs = [update.spec for update in connection.list_all(ModelUpdate)]
    counters = [spec.counter for spec in update_specs if (spec.model, spec.site) == (model.metadata.name, site)]
    site_status = model.status.site(site)
    return max(int(text), *counters, site_status.answered_request if site_status else 0)
