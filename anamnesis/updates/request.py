"""What one update is asked to do: everything the steps of a pipeline need, as one plain record."""

from dataclasses import dataclass, field

from anamnesis.records import Configuration, SiteConfig, SiteRef
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
        who: on whose behalf; stands in the log.
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
    who: str = "anamnesis"
