"""Reads resources from YAML files and says in plain words what is wrong with them."""

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
    """A resource and the file it came from; relative paths in it are relative to that file's folder."""

    resource: ResourceT
    file: Path

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self.file.parent.resolve()

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.resource.metadata.name


@dataclass(frozen=True, slots=True)
class ResourceSet:
    """All that was read, by name.

    Attributes:
        models: every ContinualModel; each site that it names is in ``sites``.
        sites: every Site.
    """

    models: Mapping[str, LoadedResource[ContinualModel]]
    sites: Mapping[str, LoadedResource[Site]]

    def sites_of(self, model: LoadedResource[ContinualModel]) -> tuple[LoadedResource[Site], ...]:
        """Returns the model's sites in the order they joined."""
        return tuple(self.sites[reference.name] for reference in model.resource.spec.sites)


def load_resources(*paths: Path) -> ResourceSet:
    """Reads every document of the given files; a folder stands for its ``*.yaml`` and ``*.yml`` files, sorted.

    Raises:
        InputError: a file cannot be read, a document is not valid, a resource is defined twice, or a model names a
            site that is not defined. One line per finding: file, kind and name, path of the field.
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
                raise InputError(f"{path}: the folder has no *.yaml file")
            yield from yaml_files
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: there is no such file or folder")


def _read_documents(file: Path) -> list[tuple[int, object]]:
    try:
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=_StrictLoader))
    except UnicodeDecodeError:
        raise InputError(f"{file}: this is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{file}: {position}{getattr(error, 'problem', None) or error}") from None
    return [(number, document) for number, document in enumerate(documents, 1) if document is not None]


class _StrictLoader(yaml.SafeLoader):
    """YAML of plain values in which no key may stand twice: the last would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _parse_resource(document: object, document_label: str, file: str) -> Resource:
    if not isinstance(document, Mapping):
        raise InputError(
            f"{document_label}: expected a resource with apiVersion, kind, metadata and spec, found {document!r:.60}"
        )
    kind = document.get("kind")
    if kind not in KINDS:
        raise InputError(f"{document_label}: kind: {kind!r} is not one of {', '.join(KINDS)}")
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
                raise InputError(
                    f"{loaded_resource.file}: {resource_type.__name__} {loaded_resource.name}: already defined in {resource_by_name[loaded_resource.name].file}"
                )
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
                    f"{field_path}[{index}]: no Site {reference.name!r} in the files given; defined: {defined_sites}"
                )
            task = site.resource.spec.task
            first_site = site_by_task.setdefault(task.name, site)
            if first_site.resource.spec.task != task:
                raise InputError(
                    f"{site.file}: Site {site.name}: spec.task: {task.name!r} is another task on Site {first_site.name}; "
                    "equal names need equal types, classes and metrics"
                )
