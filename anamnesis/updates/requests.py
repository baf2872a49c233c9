"""What one update is asked to do: everything the steps of a pipeline need, as one plain record."""

from dataclasses import dataclass, field

from anamnesis.records import Configuration, SiteConfig, SiteRef, UpdateTrigger
from anamnesis.registry.gate import GatePolicy


@dataclass(frozen=True, slots=True)
class UpdateRequest:
    """One pass: (base version, a site's data, configuration) -> candidate version.

    Attributes:
        model: the model's name.
        registry: URL of its registry.
        site: whose data is learned, and how to read it.
        store: URL of that site's own store.
        configuration: method, network and budget.
        split_key: where the model's split key is: ``file:///...`` or ``env:NAME``.
        base: digest of the version to start from; empty for the first.
        sites: every site that the model has learned before, in order of arrival, each with its frozen test set.
        gate: the policy that judges the candidate.
        author: on whose behalf; stands in the log.
        stored_images: whether the model's change plan allows versions that hold real images of patients.
        trigger: what made an operator start it; the run then writes an outcome, and the operator settles the decision.
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
    trigger: UpdateTrigger | None = None


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What a scheduled evaluation is asked to do.

    Attributes:
        name: of the evaluation, unique within the model.
        model: the model's name.
        registry: URL of its registry.
        version: digest of the champion.
        sites: each site that the champion has learned, with its source (for recent cases) and its test set.
        split_key: where the model's split key is.
        time: when it was due, UTC, ISO 8601.
        minimum_cases: recent cases fewer than this are not judged.
    """

    name: str
    model: str
    registry: str
    version: str
    sites: tuple[tuple[SiteConfig, SiteRef], ...]
    split_key: str
    time: str
    minimum_cases: int = 20
