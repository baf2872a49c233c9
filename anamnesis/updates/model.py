"""A version brought to life: its method with its weights, and what it knows."""

import json
from dataclasses import dataclass, field
from typing import Any

from anamnesis.methods import Method, build_method
from anamnesis.records import (
    Configuration,
    InputError,
    IntegrityError,
    Task,
    Version,
    canonical_json,
    decode,
    encode,
    label_space,
)
from anamnesis.registry.versions import read_part, read_version
from anamnesis.storage.store import Store
from anamnesis.updates.state_blobs import pack_state, unpack_state

DESCRIPTION_PART = "model"
"""Name of the part that says what the weights are: a version explains itself."""


@dataclass(frozen=True, slots=True)
class Experience:
    """One site's data learned with one task, in order of arrival."""

    site: str
    task: Task


@dataclass(frozen=True, slots=True)
class VersionDescription:
    """What a version knows, stored with its weights.

    Attributes:
        configuration: method, network and budget of its last update.
        visits: what was learned, in order; a hospital that came back stands there again.
        schema: of this record.
    """

    configuration: Configuration
    visits: tuple[Experience, ...] = ()
    schema: int = field(default=1)

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's label space: the columns of its logits."""
        return label_space(experience.task for experience in self.visits)

    def add_experience(self, site: str, task: Task, configuration: Configuration) -> "VersionDescription":
        """Returns the description after one more update.

        Raises:
            InputError: a task of this name with other classes was learned before.
        """
        for experience in self.visits:
            if experience.task.name == task.name and experience.task != task:
                raise InputError(
                    f"task {task.name!r}: site {experience.site!r} learned it with {list(experience.task.classes)}, "
                    f"site {site!r} declares {list(task.classes)}; give one of them another name"
                )
        return VersionDescription(configuration, (*self.visits, Experience(site, task)))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A method with a version's state in it."""

    method: Method[Any]
    description: VersionDescription


def read_description(store: Store, version: Version) -> VersionDescription:
    """Returns what a stored version knows, without its weights.

    Raises:
        IntegrityError: the part is not the JSON that it should be.
    """
    data = read_part(store, version, DESCRIPTION_PART)
    try:
        return decode(VersionDescription, json.loads(data), DESCRIPTION_PART)
    except (ValueError, InputError) as error:
        raise IntegrityError(f"version {version.digest}: part {DESCRIPTION_PART!r} is unreadable: {error}") from error


def load_model(store: Store, digest: str, configuration: Configuration | None = None) -> LoadedModel:
    """Reads a version and its weights.

    Args:
        store: the registry's.
        digest: of the version.
        configuration: learn on with this one; by default the version's own.

    Raises:
        InputError: another network than the version's is asked for.
    """
    version = read_version(store, digest)
    description = read_description(store, version)
    target_configuration = configuration or description.configuration
    if target_configuration.network != description.configuration.network:
        raise InputError(
            f"network: the base version has {encode(description.configuration.network)}, "
            f"the update asks for {encode(target_configuration.network)}; a model keeps its network"
        )
    method = build_method(target_configuration)
    blobs = {part: read_part(store, version, part) for part in version.parts if part != DESCRIPTION_PART}
    method.load_state_dict(unpack_state(blobs), len(description.labels))
    return LoadedModel(method, description)


def version_blobs(method: Method[Any], description: VersionDescription) -> dict[str, bytes]:
    """Returns every part of a version: the method's state and its description."""
    return {**pack_state(method.state_dict()), DESCRIPTION_PART: canonical_json(encode(description))}
