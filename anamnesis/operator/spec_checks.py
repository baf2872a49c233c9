"""Checks of a model together with its Sites: names that nothing has, limits that cannot apply, places that overlap.

Neither the types nor the API server can make them, because each of them sees one resource alone. Pure functions.
"""

from collections.abc import Iterator, Mapping
from itertools import combinations
from posixpath import normpath

from pydantic.alias_generators import to_camel

from anamnesis.operator.addresses import registry_url, source_url, store_url
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.api.gate import GateSpec, TaskGate
from anamnesis.records import InputError, metric_properties

_SPREADSHEETS = (".xls", ".xlsx", ".ods", ".numbers")
Sites = Mapping[str, LoadedResource[Site]]
_CLASSIFICATION = "Classification"
_LIMITS_OF_CLASSES: Mapping[str, str] = {
    "saliency_floor": "saliency maps",
    "recall_floor": "recall of a class",
    "recall_margin": "recall of a class",
    "site_inferred": "classes",
    "calibration_error": "probabilities of classes",
}
"""Limit -> the part of a classification that it is about."""


def find_problems(model: LoadedResource[ContinualModel], sites: Sites) -> tuple[str, ...]:
    """Returns a sentence for each field that means nothing, or that contradicts another resource.

    Args:
        model: which model.
        sites: those of its Sites that exist, by name. A Site that does not exist is reported elsewhere.
    """
    return (*_method_problems(model, sites), *_gate_problems(model, sites), *_overlaps(model, sites))


def describe_unread_modalities(model: LoadedResource[ContinualModel], site: LoadedResource[Site]) -> str:
    """Returns which modalities of a Site the method of a model does not read; empty where it reads all."""
    entry, (main_modality, *unread_modalities) = model.resource.spec.method.entry, site.resource.spec.modalities
    if entry.several_modalities or not unread_modalities:
        return ""
    unread = ", ".join(unread_modalities)
    return f"{entry.name} reads the first of spec.modalities of the Site, {main_modality}; it does not read {unread}"


def find_site_problem(site: LoadedResource[Site]) -> str:
    """Returns why a Site alone contradicts itself; empty where it does not."""
    source, store = _address_of_source(site), store_url(site)
    if source and _overlap(source, store):
        return (
            f"spec.store: {site.resource.spec.store} overlaps spec.source, so the Site would ingest what it stores; "
            "use a bucket or folder of its own"
        )
    manifest = site.resource.spec.labels.manifest or ""
    if manifest.lower().endswith(_SPREADSHEETS):
        return f"spec.labels.manifest: {manifest} is a spreadsheet; export it as CSV, and name that file"
    if "://" not in manifest and ".." in manifest.split("/"):
        return f"spec.labels.manifest: {manifest} has a part '..'; write the path below the source, or a URL"
    return ""


def _method_problems(model: LoadedResource[ContinualModel], sites: Sites) -> Iterator[str]:
    entry = model.resource.spec.method.entry
    for site in sites.values():
        task_type = site.resource.spec.task.type
        if task_type not in entry.task_types:
            yield (
                f"spec.method.name: {entry.name} cannot learn the task of Site {site.name}, because its type is "
                f"{task_type}; it learns {', '.join(entry.task_types)}: remove the Site from spec.sites"
            )


def _gate_problems(model: LoadedResource[ContinualModel], sites: Sites) -> Iterator[str]:
    spec = model.resource.spec
    if set(sites) != {reference.name for reference in spec.sites}:
        return  # the missing Site may have the task
    tasks = {site.resource.spec.task.name: site.resource.spec.task for site in sites.values()}
    type_by_task = {name: task.type for name, task in tasks.items()}
    for number, limits in enumerate(spec.gate.tasks):
        if limits.name not in type_by_task:
            yield (
                f"spec.gate.tasks[{number}].name: no Site of the model has a task {limits.name!r}; correct the name, "
                f"or remove the limits. Tasks: {', '.join(sorted(type_by_task))}"
            )
            continue
        for name, problem in _metric_problems(limits, tasks[limits.name].primary_metric):
            yield f"spec.gate.tasks[{number}].{name}: {problem}"
        if type_by_task[limits.name] != _CLASSIFICATION:
            for name, part in _declared_limits_of_classes(limits):
                yield (
                    f"spec.gate.tasks[{number}].{to_camel(name)}: task {limits.name!r} has no {part}, because its type "
                    f"is {type_by_task[limits.name]}; remove {to_camel(name)}"
                )
    if _CLASSIFICATION not in type_by_task.values():
        for name, part in _declared_limits_of_classes(spec.gate):
            yield f"spec.gate.{to_camel(name)}: no task of the model has {part}; remove {to_camel(name)}"


def _metric_problems(limits: TaskGate, metric: str) -> Iterator[tuple[str, str]]:
    """Yields each limit of a task that does not fit its primary metric, and why."""
    properties = metric_properties(metric)
    if properties.is_lower_better and limits.floor is not None:
        unit = f" in {properties.unit}" if properties.unit else ""
        yield "floor", f"lower is better for {metric} of task {limits.name!r}; declare a ceiling{unit} instead"
    if not properties.is_lower_better and limits.ceiling is not None:
        yield "ceiling", f"higher is better for {metric} of task {limits.name!r}; declare a floor instead"
    for name, limit in (("ceiling", limits.ceiling), ("margin", limits.margin)):
        if limit is not None and limit > properties.highest:
            yield (
                name,
                f"{metric} is from {properties.lowest} to {properties.highest}, so a limit of {limit} judges nothing",
            )


def _declared_limits_of_classes(limits: GateSpec | TaskGate) -> Iterator[tuple[str, str]]:
    """Returns each limit that the resource declares and only a classification has, and what it is about."""
    declared = limits.model_fields_set
    return ((name, part) for name, part in _LIMITS_OF_CLASSES.items() if name in declared)


def _overlaps(model: LoadedResource[ContinualModel], sites: Sites) -> Iterator[str]:
    registry = registry_url(model)
    for site in sites.values():
        source, store = _address_of_source(site), store_url(site)
        if source and _overlap(registry, source):
            yield (
                f"spec.registry.url: {model.resource.spec.registry.url} overlaps spec.source of Site {site.name}, so "
                "the Site would ingest the registry; use another bucket or folder for the registry"
            )
        if _overlap(registry, store):
            yield (
                f"spec.registry.url: {model.resource.spec.registry.url} overlaps spec.store of Site {site.name}: users "
                "who may read weights could read images; use another bucket or folder for the registry"
            )
        if problem := find_site_problem(site):
            yield f"Site {site.name}: {problem}"
    for first_site, second_site in combinations(sites.values(), 2):
        yield from _overlaps_of_sites(first_site, second_site)


def _overlaps_of_sites(first_site: LoadedResource[Site], second_site: LoadedResource[Site]) -> Iterator[str]:
    if _normalize(store_url(first_site)) == _normalize(store_url(second_site)):
        yield (
            f"Site {second_site.name}: spec.store is also that of Site {first_site.name}; each Site needs a store of "
            "its own"
        )
    for owner, reader in ((first_site, second_site), (second_site, first_site)):
        source = _address_of_source(reader)
        if source and _overlap(store_url(owner), source):
            yield (
                f"Site {owner.name}: spec.store overlaps spec.source of Site {reader.name}, which would ingest its "
                "images; use a bucket or folder that no Site reads"
            )


def _address_of_source(site: LoadedResource[Site]) -> str:
    """Returns the URL of a source of files; empty for a server, and for a path that the poll refuses."""
    source = site.resource.spec.source
    if source.type not in ("Folder", "S3"):
        return ""
    try:
        return source_url(site.resource.spec, site.folder)
    except InputError:
        return ""


def _overlap(first_url: str, second_url: str) -> bool:
    """Returns whether one of two places is inside the other."""
    first, second = (f"{_normalize(url)}/" for url in (first_url, second_url))
    return first.startswith(second) or second.startswith(first)


def _normalize(url: str) -> str:
    """Returns the place of a URL without detours like ``a/../b`` and ``a//b``."""
    scheme, separator, path = url.partition("://")
    return f"{scheme}{separator}{normpath(path).rstrip('/')}"
