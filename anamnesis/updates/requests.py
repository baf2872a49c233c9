"""The requests of an update and of a scheduled evaluation: all inputs of a pipeline, as one plain record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from anamnesis.records import Configuration, SigningSettings, SiteConfig, SiteRef, UpdateTrigger
from anamnesis.registry.gate import GatePolicy


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """One update: (base version, a site's data, configuration) -> candidate version.

    Attributes:
        model: name of the model.
        registry: URL of the model's registry.
        site: the site to learn, and how to read its data.
        store: URL of the site's own store.
        configuration: method, network and budget.
        split_key: place of the split key: ``file:///...`` or ``env:NAME`` of the network key, or with ``site+`` before
            it of the site's own key.
        base: digest of the version to start from; empty for the first.
        sites: the sites that were learned earlier, in that sequence, each with its frozen test set.
        gate: the policy that judges the candidate.
        author: author of the entry in the registry's log.
        stored_images: whether the model's change plan allows versions that hold real images of patients.
        minimum_patients: a class is learned only where its patients differ from those of every earlier training set of
            the site by none, or by so many.
        trigger: why an operator started the update. With a trigger the run writes an update result, and the operator
            records the decision.
        signing: how the run signs what it writes to the registry, and whose signatures count.
        run: name of the run that executes the request. The operator adds it when it submits the run; none on a laptop.
    """

    model: str
    registry: str
    site: SiteConfig
    store: str
    configuration: Configuration
    split_key: str
    base: str = ""
    sites: tuple[SiteRef, ...] = ()
    gate: GatePolicy = field(default_factory=GatePolicy)
    author: str = "anamnesis"
    stored_images: bool = False
    minimum_patients: int = 20
    trigger: UpdateTrigger | None = None
    signing: SigningSettings = field(default_factory=SigningSettings)
    run: str | None = None


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """One scheduled evaluation of a champion.

    Attributes:
        name: of the evaluation, unique within the model.
        model: the model's name.
        registry: URL of its registry.
        version: digest of the champion.
        sites: that the champion has learned, each with its source (for recent cases) and its test set.
        split_keys: site -> place of its split key, as in ``UpdateRequest``.
        time: when it was due, UTC, ISO 8601.
        minimum_cases: a site with fewer recent cases gets no score on them.
        signing: how the run signs what it writes to the registry, and whose signatures count.
        author: the operator that asks for the evaluation, as in the registry's log.
        run: as in ``UpdateRequest``.
    """

    name: str
    model: str
    registry: str
    version: str
    sites: tuple[tuple[SiteConfig, SiteRef], ...]
    split_keys: Mapping[str, str]
    time: str
    minimum_cases: int = 20
    signing: SigningSettings = field(default_factory=SigningSettings)
    author: str = "anamnesis"
    run: str | None = None
