"""Reads resources from YAML files and reports every error with file, resource and field."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import ValidationError

from anamnesis.operator.api.api_model import API_VERSION, Resource
from anamnesis.operator.api.approval import UpdateApproval
from anamnesis.operator.api.model import ContinualModel
from anamnesis.operator.api.site import Site
from anamnesis.operator.api.update import ModelUpdate
from anamnesis.operator.api.validation_messages import describe_errors
from anamnesis.records import InputError

KINDS: Mapping[str, type[Resource]] = {
    "ContinualModel": ContinualModel,
    "ModelUpdate": ModelUpdate,
    "Site": Site,
    "UpdateApproval": UpdateApproval,
}
ResourceT = TypeVar("ResourceT", bound=Resource)


@dataclass(frozen=True, slots=True)
class LoadedResource(Generic[ResourceT]):
    """A resource and its file. Relative paths in the resource start at the folder of the file."""

    resource: ResourceT
    file: Path

    @property
    def folder(self) -> Path:
        """The folder at which relative paths start."""
        return self.file.parent.resolve()

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.resource.metadata.name


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """The resources of some files, by name.

    Attributes:
        models: every ContinualModel; ``sites`` has each Site that one of them names.
        sites: every Site.
    """

    models: Mapping[str, LoadedResource[ContinualModel]]
    sites: Mapping[str, LoadedResource[Site]]

    def sites_of(self, model: LoadedResource[ContinualModel]) -> tuple[LoadedResource[Site], ...]:
        """Returns the model's Sites in the order of ``spec.sites``."""
        return tuple(self.sites[reference.name] for reference in model.resource.spec.sites)


def load_resources(*paths: Path) -> ResourceSet:
    """Reads every document of the given files; for a folder, of its ``*.yaml`` and ``*.yml`` files, sorted.

    Raises:
        InputError: a file is unreadable, a document is invalid, a resource is defined twice, or a model names an
            undefined Site. One line per error: file, kind and name, path of the field.
    """
    errors: list[str] = []
    loaded_resources: list[LoadedResource[Any]] = []
    for file in _list_yaml_files(paths):
        for number, document in _read_documents(file):
            try:
                loaded_resources.append(
                    LoadedResource(_parse_resource(document, f"{file}: document {number}", str(file)), file)
                )
            except InputError as error:
                errors.append(str(error))
    if errors:
        raise InputError("\n".join(errors))
    resources = ResourceSet(
        models=_index_by_name(loaded_resources, ContinualModel), sites=_index_by_name(loaded_resources, Site)
    )
    _check_references(resources)
    return resources


def _list_yaml_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yaml_files = sorted(item for item in path.iterdir() if item.suffix in (".yaml", ".yml") and item.is_file())
            if not yaml_files:
                raise InputError(f"{path}: the folder has no *.yaml or *.yml file; name a folder with resources")
            yield from yaml_files
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: no such file or folder; check the path")


def _read_documents(file: Path) -> list[tuple[int, object]]:
    try:
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=_StrictLoader))
    except UnicodeDecodeError:
        raise InputError(f"{file}: not UTF-8 text; save the file as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{file}: {position}{getattr(error, 'problem', None) or error}") from None
    return [(number, document) for number, document in enumerate(documents, 1) if document is not None]


class _StrictLoader(yaml.SafeLoader):
    """Plain YAML that refuses a repeated key: YAML itself would silently use the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is listed twice; remove one", key.start_mark
                )
        return super().construct_mapping(node, deep)


def _parse_resource(document: object, document_label: str, file: str) -> Resource:
    if not isinstance(document, Mapping):
        raise InputError(
            f"{document_label}: expected a resource with apiVersion, kind, metadata and spec, found {document!r:.60}"
        )
    kind = document.get("kind")
    if kind not in KINDS:
        raise InputError(f"{document_label}: kind: expected one of {', '.join(KINDS)}, found {kind!r}")
    metadata = document.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    resource_label = f"{file}: {kind} {name}" if name else f"{document_label}: {kind}"
    if document.get("apiVersion") != API_VERSION:
        raise InputError(f"{resource_label}: apiVersion: expected {API_VERSION}, found {document.get('apiVersion')!r}")
    try:
        return KINDS[str(kind)].model_validate(document)
    except ValidationError as error:
        raise InputError(
            "\n".join(f"{resource_label}: {line}" for line in describe_errors(error, KINDS[str(kind)]))
        ) from None


def _index_by_name(
    loaded_resources: Iterable[LoadedResource[Any]], resource_type: type[ResourceT]
) -> dict[str, LoadedResource[ResourceT]]:
    resource_by_name: dict[str, LoadedResource[ResourceT]] = {}
    for loaded_resource in loaded_resources:
        if isinstance(loaded_resource.resource, resource_type):
            if loaded_resource.name in resource_by_name:
                label = f"{loaded_resource.file}: {resource_type.__name__} {loaded_resource.name}"
                first_file = resource_by_name[loaded_resource.name].file
                raise InputError(f"{label}: already defined in {first_file}; remove or rename one of them")
            resource_by_name[loaded_resource.name] = loaded_resource
    return resource_by_name


def _check_references(resources: ResourceSet) -> None:
    for model in resources.models.values():
        field_path = f"{model.file}: ContinualModel {model.name}: spec.sites"
        site_by_task: dict[str, LoadedResource[Site]] = {}
        for index, reference in enumerate(model.resource.spec.sites):
            site = resources.sites.get(reference.name)
            if site is None:
                defined_sites = ", ".join(resources.sites) or "none"
                raise InputError(
                    f"{field_path}[{index}].name: the files define no Site {reference.name!r}; correct the name, or "
                    f"add the Site to the files. Defined Sites: {defined_sites}"
                )
            task = site.resource.spec.task
            first_site = site_by_task.setdefault(task.name, site)
            if first_site.resource.spec.task != task:
                raise InputError(
                    f"{site.file}: Site {site.name}: spec.task: Site {first_site.name} defines task {task.name!r} with "
                    "another type, other classes or another primaryMetric; use equal values, or rename one task"
                )
