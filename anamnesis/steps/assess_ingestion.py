"""Decides, after the ingest and before anything costly starts, whether a site's data is worth an update."""

from anamnesis.records import TRAINING_SPLITS, UpdateResult, UpdateResultKind, UpdateTrigger, digest_json, encode
from anamnesis.snapshots import IngestResult, read_snapshot_manifest
from anamnesis.storage.store import Store, open_store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import snapshots_of_site


def assess_ingestion(request: UpdateRequest, trigger: UpdateTrigger, ingest_result: IngestResult) -> UpdateResult:
    """Returns the result of the run so far: ``CANDIDATE``, still without a version, where the update continues.

    Args:
        request: of the update.
        trigger: of the request.
        ingest_result: of the site's current data.
    """
    learned_snapshots = snapshots_of_site(open_store(request.registry), request.base, request.site.name)
    site_store = open_store(request.store)
    learned_patients = {
        patient for snapshot in learned_snapshots for patient in _training_patients(site_store, snapshot)
    }
    new_patient_count = len(_training_patients(site_store, ingest_result.snapshot) - learned_patients)
    return UpdateResult(
        trigger=trigger,
        site=request.site.name,
        base=request.base,
        configuration=digest_json(encode(request.configuration)),
        kind=_result_kind(ingest_result.snapshot in learned_snapshots, new_patient_count, trigger.minimum_patients),
        snapshot=ingest_result.snapshot,
        test_set=ingest_result.test_set,
        new_patients=new_patient_count,
        counts=ingest_result.counts,
        reasons=ingest_result.reasons,
    )


def _result_kind(is_learned: bool, new_patient_count: int, minimum_patients: int) -> UpdateResultKind:
    if is_learned:
        return UpdateResultKind.NO_CHANGE
    return UpdateResultKind.TOO_FEW_PATIENTS if new_patient_count < minimum_patients else UpdateResultKind.CANDIDATE


def _training_patients(store: Store, snapshot: str) -> set[str]:
    return {sample.patient for sample in read_snapshot_manifest(store, snapshot).samples_of(*TRAINING_SPLITS)}
