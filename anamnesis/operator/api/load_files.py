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
from anamnesis.operator.api.validation_messages import describe
from anamnesis.records import InputError

KINDS: Mapping[str, type[Resource]] = {
    "ContinualModel": ContinualModel,
    "ModelUpdate": ModelUpdate,
    "Site": Site,
    "UpdateApproval": UpdateApproval,
}
Kind = TypeVar("Kind", bound=Resource)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Kind]):
    """A resource and the file it came from; relative paths in it are relative to that file's folder."""

    resource: Kind
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
class Resources:
    """All that was read, by name.

    Attributes:
        models: every ContinualModel; each site that it names is in ``sites``.
        sites: every Site.
    """

    models: Mapping[str, Loaded[ContinualModel]]
    sites: Mapping[str, Loaded[Site]]

    def sites_of(self, model: Loaded[ContinualModel]) -> tuple[Loaded[Site], ...]:
        """Returns the model's sites in the order they joined."""
        return tuple(self.sites[reference.name] for reference in model.resource.spec.sites)


def load_resources(*paths: Path) -> Resources:
    """Reads every document of the given files; a folder stands for its ``*.yaml`` and ``*.yml`` files, sorted.

    Raises:
        InputError: a file cannot be read, a document is not valid, a resource is defined twice, or a model names a
            site that is not defined. One line per finding: file, kind and name, path of the field.
    """
    problems: list[str] = []
    found: list[Loaded[Any]] = []
    for file in _files(paths):
        for number, document in _documents(file):
            try:
                found.append(Loaded(_resource(document, f"{file}: document {number}", str(file)), file))
            except InputError as error:
                problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    resources = Resources(models=_by_name(found, ContinualModel), sites=_by_name(found, Site))
    _check_references(resources)
    return resources


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix in (".yaml", ".yml") and item.is_file())
            if not inside:
                raise InputError(f"{path}: the folder has no *.yaml file")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: there is no such file or folder")


def _documents(file: Path) -> list[tuple[int, object]]:
    try:
        documents = list(yaml.load_all(file.read_text(encoding="utf-8"), Loader=_StrictLoader))
    except UnicodeDecodeError:
        raise InputError(f"{file}: this is not UTF-8 text") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{file}: {place}{getattr(error, 'problem', None) or error}") from None
    return [(number, document) for number, document in enumerate(documents, 1) if document is not None]


class _StrictLoader(yaml.SafeLoader):
    """YAML of plain values in which no key may stand twice: the last would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
        return super().construct_mapping(node, deep)


def _resource(document: object, place: str, file: str) -> Resource:
    if not isinstance(document, Mapping):
        raise InputError(
            f"{place}: expected a resource with apiVersion, kind, metadata and spec, found {document!r:.60}"
        )
    kind = document.get("kind")
    if kind not in KINDS:
        raise InputError(f"{place}: kind: {kind!r} is not one of {', '.join(KINDS)}")
    metadata = document.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    where = f"{file}: {kind} {name}" if name else f"{place}: {kind}"
    if document.get("apiVersion") != API_VERSION:
        raise InputError(f"{where}: apiVersion: expected {API_VERSION}, found {document.get('apiVersion')!r}")
    try:
        return KINDS[str(kind)].model_validate(document)
    except ValidationError as error:
        raise InputError("\n".join(f"{where}: {line}" for line in describe(error, KINDS[str(kind)]))) from None


def _by_name(found: Iterable[Loaded[Any]], kind: type[Kind]) -> dict[str, Loaded[Kind]]:
    named: dict[str, Loaded[Kind]] = {}
    for loaded in found:
        if isinstance(loaded.resource, kind):
            if loaded.name in named:
                raise InputError(
                    f"{loaded.file}: {kind.__name__} {loaded.name}: already defined in {named[loaded.name].file}"
                )
            named[loaded.name] = loaded
    return named


def _check_references(resources: Resources) -> None:
    for model in resources.models.values():
        where = f"{model.file}: ContinualModel {model.name}: spec.sites"
        tasks: dict[str, Loaded[Site]] = {}
        for index, reference in enumerate(model.resource.spec.sites):
            site = resources.sites.get(reference.name)
            if site is None:
                known = ", ".join(resources.sites) or "none"
                raise InputError(f"{where}[{index}]: no Site {reference.name!r} in the files given; defined: {known}")
            task = site.resource.spec.task
            other = tasks.setdefault(task.name, site)
            if other.resource.spec.task != task:
                raise InputError(
                    f"{site.file}: Site {site.name}: spec.task: {task.name!r} is another task on Site {other.name}; "
                    "equal names need equal types, classes and metrics"
                )
