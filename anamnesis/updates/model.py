"""A version in memory: its method with its weights, and what it knows about its sites."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anamnesis.methods import Method, build_method
from anamnesis.records import (
    Configuration,
    InputError,
    IntegrityError,
    OperatingPoint,
    Task,
    Version,
    canonical_json,
    decode,
    digest_bytes,
    encode,
    find_class_indices,
    label_space,
)
from anamnesis.records.network_differences import describe_network_differences
from anamnesis.registry.versions import read_part, read_version
from anamnesis.storage.documents import check_schema
from anamnesis.storage.store import Store
from anamnesis.updates.pretrained import (
    PRETRAINED_PART,
    PretrainedTensors,
    add_pretrained,
    find_pretrained,
    leave_out_pretrained,
    read_pretrained,
)
from anamnesis.updates.site_features import PART_PREFIX, SiteFeatures
from anamnesis.updates.state_blobs import pack_state, unpack_state
from anamnesis.updates.stored_operating_points import (
    OPERATING_POINTS_PART,
    pack_operating_points,
    read_operating_points,
)

DESCRIPTION_PART = "model"
"""Name of the part that describes the weights."""


@dataclass(frozen=True, slots=True)
class Experience:
    """One update's site and task."""

    site: str
    task: Task


@dataclass(frozen=True, slots=True)
class VersionDescription:
    """What a version has learned, stored with its weights.

    Attributes:
        configuration: method, network and budget of its last update.
        visits: site and task of each update, in order; a hospital that came back is listed again.
        schema: of this record.
    """

    configuration: Configuration
    visits: tuple[Experience, ...] = ()
    schema: int = field(default=3)

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's label space: the columns of its logits."""
        return label_space(experience.task for experience in self.visits)

    def knows(self, task: Task) -> bool:
        """Whether the version has learned all classes of a task."""
        return set(task.labels) <= set(self.labels)

    def columns_of_other_sites(self, site: str) -> dict[str, tuple[int, ...]]:
        """Returns the columns of the logits that each learned site except ``site`` taught, by its name."""
        columns: dict[str, set[int]] = {}
        for experience in self.visits:
            if experience.site != site:
                columns.setdefault(experience.site, set()).update(find_class_indices(experience.task, self.labels))
        return {name: tuple(sorted(site_columns)) for name, site_columns in columns.items()}

    def add_experience(self, site: str, task: Task, configuration: Configuration) -> "VersionDescription":
        """Returns the description after one more update.

        Raises:
            InputError: an earlier update learned a task with the same name and other classes.
        """
        for experience in self.visits:
            if experience.task.name == task.name and experience.task != task:
                raise InputError(
                    f"task {task.name!r}: the model learned this task at site {experience.site!r} as "
                    f"{encode(experience.task)}, but site {site!r} declares {encode(task)}; create Site {site} again "
                    "with the same type, classes and primaryMetric in spec.task, or with another task name"
                )
        return VersionDescription(configuration, (*self.visits, Experience(site, task)))


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A method with a version's state in it.

    Attributes:
        method: with its weights.
        description: what the version has learned.
        site_features: statistics of its sites in frozen features; a site that an older release learned has none.
        operating_points: site -> how its outputs become answers, as fitted when the site was learned.
        pretrained: the tensors that its backbone started from; none for a random start.
    """

    method: Method[Any]
    description: VersionDescription
    site_features: SiteFeatures
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    pretrained: PretrainedTensors | None = None


@dataclass(frozen=True, slots=True)
class VersionParts:
    """The parts of a version.

    Attributes:
        blobs: the bytes of every part that the registry does not have yet, by its name.
        digests: the digest of every part by its name.
    """

    blobs: Mapping[str, bytes]
    digests: Mapping[str, str]


def read_description(store: Store, version: Version) -> VersionDescription:
    """Returns what a stored version has learned, without its weights.

    Raises:
        IntegrityError: the part is not the expected JSON.
        InputError: an older or newer release wrote the version.
    """
    data = read_part(store, version, DESCRIPTION_PART)
    try:
        schema = json.loads(data)["schema"]
    except (ValueError, LookupError, TypeError) as error:
        raise _unreadable_description_error(version, error) from error
    check_schema(VersionDescription, schema, f"version {version.digest}")
    try:
        return decode(VersionDescription, json.loads(data), DESCRIPTION_PART)
    except (ValueError, InputError) as error:
        raise _unreadable_description_error(version, error) from error


def _unreadable_description_error(version: Version, error: Exception) -> IntegrityError:
    return IntegrityError(
        f"version {version.digest}: part {DESCRIPTION_PART!r} is undamaged, but this release of anamnesis cannot "
        f"read it: {error}; use the release that wrote the version"
    )


def start_model(store: Store, configuration: Configuration) -> LoadedModel:
    """Returns a model that has learned nothing: at the weights that the configuration names, or at random.

    Raises:
        InputError: a setting is invalid, or the weights are missing, have another digest or do not fit the network.
    """
    method, pretrained = build_method(configuration), find_pretrained(store, configuration.network)
    if pretrained:
        method.load_pretrained(pretrained.tensors)
    return LoadedModel(
        method,
        VersionDescription(configuration.identity),
        SiteFeatures(configuration.network.channels),
        pretrained=pretrained,
    )


def load_model(store: Store, digest: str, configuration: Configuration | None = None) -> LoadedModel:
    """Reads a version and its weights.

    Args:
        store: of the registry.
        digest: of the version.
        configuration: for the next update; by default the version's own.

    Raises:
        InputError: the configuration has another network than the version.
    """
    version = read_version(store, digest)
    description = read_description(store, version)
    target_configuration = configuration or description.configuration
    if differences := describe_network_differences(description.configuration.network, target_configuration.network):
        raise InputError(differences)
    method, pretrained = build_method(target_configuration), read_pretrained(store, version)
    if pretrained:
        method.load_pretrained(pretrained.tensors)
    other_parts = {DESCRIPTION_PART, OPERATING_POINTS_PART, PRETRAINED_PART, *_site_feature_parts(version)}
    blobs = {part: read_part(store, version, part) for part in sorted(set(version.parts) - other_parts)}
    method.load_state_dict(add_pretrained(unpack_state(blobs), pretrained), len(description.labels))
    return LoadedModel(
        method,
        description,
        read_site_features(store, version, description),
        read_operating_points(store, version),
        pretrained,
    )


def read_site_features(store: Store, version: Version, description: VersionDescription) -> SiteFeatures:
    """Returns the statistics of a version's sites, without its weights."""
    blobs = {part: read_part(store, version, part) for part in _site_feature_parts(version)}
    return SiteFeatures.unpack(description.configuration.network.channels, blobs)


def _site_feature_parts(version: Version) -> list[str]:
    return [part for part in version.parts if part.startswith(PART_PREFIX)]


def version_parts(model: LoadedModel) -> VersionParts:
    """Returns every part of a version: the method's state, its description, and what it knows about its sites."""
    state = leave_out_pretrained(model.method.state_dict(), model.pretrained)
    blobs = {**pack_state(state), **model.site_features.pack()}
    if model.operating_points:
        blobs[OPERATING_POINTS_PART] = pack_operating_points(model.operating_points)
    blobs[DESCRIPTION_PART] = canonical_json(encode(model.description))
    digests = {part: digest_bytes(blob) for part, blob in blobs.items()}
    if model.pretrained:
        digests[PRETRAINED_PART] = model.pretrained.digest
        if model.pretrained.blob is not None:
            blobs[PRETRAINED_PART] = model.pretrained.blob
    return VersionParts(blobs, digests)
