"""Series from resource statuses: made at scrape time, so a series goes when its resource goes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.registry import Collector

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.definitions import FROM_STATUS, PREFIX, Definition
from anamnesis.operator.metrics.status_samples import Sample, model_samples, number, site_samples
from anamnesis.operator.metrics.update_samples import approval_samples, update_samples

Kind = TypeVar("Kind", bound=Resource)
Place = tuple[str | None, str | None]
"""Namespace and name of a model."""

_BY_NAME = {definition.name: definition for definition in FROM_STATUS}


class ResourceCollector(Collector):
    """Exports what the statuses of resources say.

    Args:
        resources: returns all of them, as the operator knows them now.
        exporting: whether this process speaks for the resources. Only the leader does: a standby would double them.
    """

    def __init__(
        self, resources: Callable[[], Iterable[Resource]], exporting: Callable[[], bool] = lambda: True
    ) -> None:
        self._resources, self._exporting = resources, exporting

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the table; without series where there is nothing to say."""
        series: dict[Definition, dict[tuple[str, ...], float]] = {definition: {} for definition in FROM_STATUS}
        for name, labels, value in samples(tuple(self._resources())) if self._exporting() else ():
            if value is not None:
                series[_BY_NAME[PREFIX + name]][labels] = number(value)
        for definition, values in series.items():
            metric = Metric(definition.name.removesuffix("_total"), definition.meaning, definition.type)
            for labels, found in values.items():
                metric.add_sample(definition.name, dict(zip(definition.labels, labels, strict=True)), found)
            yield metric


def samples(resources: tuple[Resource, ...]) -> Iterator[Sample]:
    """Yields what there is to say about all resources."""
    updates: dict[Place, list[ModelUpdate]] = defaultdict(list)
    model_of: dict[Place, str] = {}
    for update in _of(ModelUpdate, resources):
        updates[update.metadata.namespace, update.spec.model].append(update)
        model_of[update.metadata.namespace, update.metadata.name] = update.spec.model
    approvals: dict[Place, list[UpdateApproval]] = defaultdict(list)
    for approval in _of(UpdateApproval, resources):
        namespace = approval.metadata.namespace
        approvals[namespace, approval.spec.model or model_of.get((namespace, approval.spec.update))].append(approval)
    for model in _of(ContinualModel, resources):
        place = (model.metadata.namespace, model.metadata.name)
        yield from model_samples(model)
        yield from update_samples(model, updates[place])
        yield from approval_samples(model, approvals[place])
    for site in _of(Site, resources):
        yield from site_samples(site)


def _of(kind: type[Kind], resources: Iterable[Resource]) -> Iterator[Kind]:
    return (resource for resource in resources if isinstance(resource, kind))
