"""Whether what lies at a site is worth an update: asked once it is ingested, before anything costly starts."""

from anamnesis.records import Occasion, Outcome, OutcomeKind, Split, digest_json, encode
from anamnesis.snapshots import IngestResult, read_manifest
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import snapshots_of_site


def admit(request: UpdateRequest, occasion: Occasion, ingested: IngestResult) -> Outcome:
    """Returns what the run found so far; ``CANDIDATE`` where the update shall go on, its version still to come.

    Args:
        request: what is asked.
        occasion: the request's.
        ingested: what lies at the site now.
    """
    learned = snapshots_of_site(open_store(request.registry), request.base, request.site.name)
    own = open_store(request.store)
    known = {patient for snapshot in learned for patient in _trained(own, snapshot)}
    new = len(_trained(own, ingested.snapshot) - known)
    return Outcome(
        occasion=occasion,
        site=request.site.name,
        base=request.base,
        configuration=digest_json(encode(request.configuration)),
        kind=_kind(ingested.snapshot in learned, new, occasion.minimum_patients),
        snapshot=ingested.snapshot,
        test_set=ingested.test_set,
        new_patients=new,
        counts=ingested.counts,
        reasons=ingested.reasons,
    )


def _kind(learned: bool, new: int, minimum: int) -> OutcomeKind:
    if learned:
        return OutcomeKind.NO_CHANGE
    return OutcomeKind.TOO_FEW_PATIENTS if new < minimum else OutcomeKind.CANDIDATE


def _trained(store: Store, snapshot: str) -> set[str]:
    return {sample.patient for sample in read_manifest(store, snapshot).of(Split.TRAIN)}
