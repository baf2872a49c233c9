"""Series from the statuses of resources, collected at scrape time: a series ends with its resource."""

import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client.utils import floatToGoString

from anamnesis.operator.api import ContinualModel, Site, UpdateApproval
from anamnesis.operator.api.api_model import Resource
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.metrics.definitions import PREFIX, STATUS_METRICS, MetricDefinition
from anamnesis.operator.metrics.essential_samples import essential_samples
from anamnesis.operator.metrics.status_samples import MetricSample, model_samples, site_samples, to_number
from anamnesis.operator.metrics.update_samples import approval_samples, update_samples

ResourceT = TypeVar("ResourceT", bound=Resource)
ModelKey = tuple[str | None, str | None]
"""Namespace and name of a model."""
Line = tuple[str, str]
"""A metric's name without prefix, and one of its series as text."""

MODELS_WITH_ALL_SERIES = 100
"""Up to so many models, every series is exported; beyond, of each model those that the alerts need."""
_DEFINITION_BY_NAME = {definition.name.removeprefix(PREFIX): definition for definition in STATUS_METRICS}
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@dataclass(frozen=True, slots=True)
class RenderedGroup:
    """The series of some resources as they were at the last scrape.

    Attributes:
        resources: of which the series were made; they stay alive, so that no other object has their identity.
        has_all_series: whether it has every series of a model.
        lines: the series.
    """

    resources: tuple[Resource, ...]
    has_all_series: bool
    lines: tuple[Line, ...]

    def is_of(self, resources: tuple[Resource, ...]) -> bool:
        """Whether these are the same objects: the cache makes a new object for each change."""
        return len(resources) == len(self.resources) and all(map(operator.is_, resources, self.resources))


class ResourceCollector:
    """Exports the statuses of resources in Prometheus' text format. Resources that did not change are not read again.

    Args:
        resources: returns the latest state of all resources.
        is_exporting: whether this process exports them. Only the leader does: a standby would export each series twice.
        models_with_all_series: see ``MODELS_WITH_ALL_SERIES``.
    """

    def __init__(
        self,
        resources: Callable[[], Iterable[Resource]],
        is_exporting: Callable[[], bool] = lambda: True,
        models_with_all_series: int = MODELS_WITH_ALL_SERIES,
    ) -> None:
        self._resources, self._is_exporting = resources, is_exporting
        self._models_with_all_series = models_with_all_series
        self._rendered_groups: dict[int, RenderedGroup] = {}

    def render(self) -> bytes:
        """Returns every metric of the table; without series where there are no samples."""
        lines_by_name: dict[str, list[str]] = {name: [] for name in _DEFINITION_BY_NAME}
        for name, line in self._lines() if self._is_exporting() else ():
            lines_by_name[name].append(line)
        return "".join(
            _header(definition) + "".join(lines_by_name[name]) for name, definition in _DEFINITION_BY_NAME.items()
        ).encode()

    def _lines(self) -> Iterator[Line]:
        groups = _group_resources(tuple(self._resources()))
        has_all_series = sum(isinstance(group[0], ContinualModel) for group in groups) <= self._models_with_all_series
        rendered_groups: dict[int, RenderedGroup] = {}
        for group in groups:
            rendered = self._rendered_groups.get(id(group[0]))
            if rendered is None or not rendered.is_of(group) or rendered.has_all_series != has_all_series:
                lines = tuple(_render(_samples_of(group, has_all_series)))
                rendered = RenderedGroup(group, has_all_series, lines)
            rendered_groups[id(group[0])] = rendered
            yield from rendered.lines
        self._rendered_groups = rendered_groups


_format_number: Callable[[float], str] = floatToGoString  # which has no types


def _header(definition: MetricDefinition) -> str:
    help_text = definition.help_text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {definition.name} {help_text}\n# TYPE {definition.name} {definition.type}\n"


def _render(samples: Iterable[MetricSample]) -> Iterator[Line]:
    """Yields each series once: of samples with the same labels the last one."""
    values = {(name, labels): value for name, labels, value in samples if value is not None}
    for (name, labels), value in values.items():
        definition = _DEFINITION_BY_NAME[name]
        pairs = sorted(zip(definition.labels, labels, strict=True))
        text = ",".join(f'{label}="{label_value.translate(_ESCAPES)}"' for label, label_value in pairs)
        yield name, f"{definition.name}{{{text}}} {_format_number(to_number(value))}\n"


def _group_resources(resources: tuple[Resource, ...]) -> list[tuple[Resource, ...]]:
    """Each model with its updates and approvals, and each site: what one group of series is made of."""
    updates: dict[ModelKey, list[ModelUpdate]] = defaultdict(list)
    model_of: dict[ModelKey, str] = {}
    for update in _resources_of_type(ModelUpdate, resources):
        updates[update.metadata.namespace, update.spec.model].append(update)
        model_of[update.metadata.namespace, update.metadata.name] = update.spec.model
    approvals: dict[ModelKey, list[UpdateApproval]] = defaultdict(list)
    for approval in _resources_of_type(UpdateApproval, resources):
        namespace = approval.metadata.namespace
        approvals[namespace, approval.spec.model or model_of.get((namespace, approval.spec.update))].append(approval)
    groups: list[tuple[Resource, ...]] = []
    for model in _resources_of_type(ContinualModel, resources):
        model_key = (model.metadata.namespace, model.metadata.name)
        groups.append((model, *updates[model_key], *approvals[model_key]))
    groups += ((site,) for site in _resources_of_type(Site, resources))
    return groups


def _samples_of(group: tuple[Resource, ...], has_all_series: bool) -> Iterator[MetricSample]:
    first = group[0]
    if isinstance(first, Site):
        yield from site_samples(first)
    elif isinstance(first, ContinualModel):
        samples = _model_samples(first, group)
        yield from samples if has_all_series else essential_samples(first, samples)


def _model_samples(model: ContinualModel, group: tuple[Resource, ...]) -> Iterator[MetricSample]:
    yield from model_samples(model)
    yield from update_samples(model, _resources_of_type(ModelUpdate, group))
    yield from approval_samples(model, _resources_of_type(UpdateApproval, group))


def _resources_of_type(resource_type: type[ResourceT], resources: Iterable[Resource]) -> Iterator[ResourceT]:
    return (resource for resource in resources if isinstance(resource, resource_type))
