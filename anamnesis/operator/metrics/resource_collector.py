"""Series from the statuses of resources, collected at scrape time: a series ends with its resource."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.registry import Collector

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.definitions import PREFIX, STATUS_METRICS, MetricDefinition
from anamnesis.operator.metrics.status_samples import MetricSample, model_samples, site_samples, to_number
from anamnesis.operator.metrics.update_samples import approval_samples, update_samples

ResourceT = TypeVar("ResourceT", bound=Resource)
ModelKey = tuple[str | None, str | None]
"""Namespace and name of a model."""

_DEFINITION_BY_NAME = {definition.name: definition for definition in STATUS_METRICS}


class ResourceCollector(Collector):
    """Exports the statuses of resources.

    Args:
        resources: returns the latest state of all resources.
        is_exporting: whether this process exports them. Only the leader does: a standby would export each series twice.
    """

    def __init__(
        self, resources: Callable[[], Iterable[Resource]], is_exporting: Callable[[], bool] = lambda: True
    ) -> None:
        self._resources, self._is_exporting = resources, is_exporting

    def collect(self) -> Iterator[Metric]:
        """Yields every metric of the table; without series where there are no samples."""
        series: dict[MetricDefinition, dict[tuple[str, ...], float]] = {definition: {} for definition in STATUS_METRICS}
        for name, labels, value in collect_samples(tuple(self._resources())) if self._is_exporting() else ():
            if value is not None:
                series[_DEFINITION_BY_NAME[PREFIX + name]][labels] = to_number(value)
        for definition, values in series.items():
            metric = Metric(definition.name.removesuffix("_total"), definition.help_text, definition.type)
            for labels, series_value in values.items():
                metric.add_sample(definition.name, dict(zip(definition.labels, labels, strict=True)), series_value)
            yield metric


def collect_samples(resources: tuple[Resource, ...]) -> Iterator[MetricSample]:
    """Yields the samples of all resources."""
    updates: dict[ModelKey, list[ModelUpdate]] = defaultdict(list)
    model_of: dict[ModelKey, str] = {}
    for update in _resources_of_type(ModelUpdate, resources):
        updates[update.metadata.namespace, update.spec.model].append(update)
        model_of[update.metadata.namespace, update.metadata.name] = update.spec.model
    approvals: dict[ModelKey, list[UpdateApproval]] = defaultdict(list)
    for approval in _resources_of_type(UpdateApproval, resources):
        namespace = approval.metadata.namespace
        approvals[namespace, approval.spec.model or model_of.get((namespace, approval.spec.update))].append(approval)
    for model in _resources_of_type(ContinualModel, resources):
        model_key = (model.metadata.namespace, model.metadata.name)
        yield from model_samples(model)
        yield from update_samples(model, updates[model_key])
        yield from approval_samples(model, approvals[model_key])
    for site in _resources_of_type(Site, resources):
        yield from site_samples(site)


def _resources_of_type(resource_type: type[ResourceT], resources: Iterable[Resource]) -> Iterator[ResourceT]:
    return (resource for resource in resources if isinstance(resource, resource_type))
