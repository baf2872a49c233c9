"""Decides, after the ingest and before anything costly starts, whether a site's data is worth an update."""

from anamnesis.records import MINIMUM_CELL_PATIENTS, UpdateResult, UpdateResultKind, UpdateTrigger, digest_json, encode
from anamnesis.snapshots import IngestResult
from anamnesis.snapshots.training_selection import TrainingSelection, count_changed_patients, preview_training_set
from anamnesis.snapshots.training_sets import all_contents, list_training_sets
from anamnesis.storage.store import open_store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import versions_of_site


def assess_ingestion(request: UpdateRequest, trigger: UpdateTrigger, ingest_result: IngestResult) -> UpdateResult:
    """Returns the result of the run so far: ``CANDIDATE``, still without a version, where the update continues.

    Corrected labels and withdrawals are learned at once, without a single new patient.

    Args:
        request: of the update.
        trigger: of the request.
        ingest_result: of the site's current data.
    """
    learned_versions = versions_of_site(open_store(request.registry), request.base, request.site.name)
    learned_digests = [version.training_set for version in learned_versions]
    site_store = open_store(request.store)
    learned_sets = {
        training_set.digest: training_set
        for training_set in list_training_sets(site_store)
        if training_set.digest in learned_digests
    }
    learned_contents = {content for each in learned_sets.values() for content in all_contents(each.all_members)}
    last_set = learned_sets.get(learned_digests[0] or "") if learned_digests else None
    changed_patient_count = count_changed_patients(site_store, ingest_result.snapshot, last_set) if last_set else 0
    selection = preview_training_set(site_store, ingest_result.snapshot, request.minimum_patients)
    members = selection.training_set.all_members
    new_patient_count = sum(learned_contents.isdisjoint(contents) for contents in members.values())
    is_wanted = new_patient_count >= trigger.minimum_patients or changed_patient_count > 0
    if ingest_result.hold:
        kind = UpdateResultKind.SOURCE_SHRANK
    elif learned_versions and ingest_result.snapshot == learned_versions[0].snapshot:
        kind = UpdateResultKind.NO_CHANGE
    elif not is_wanted or _is_held_back(selection, learned_digests):
        kind = UpdateResultKind.TOO_FEW_PATIENTS
    else:
        kind = UpdateResultKind.CANDIDATE
    patients = ingest_result.changed_patients
    masked_counts = tuple(name for name, count in patients.items() if count < MINIMUM_CELL_PATIENTS)
    return UpdateResult(
        trigger=trigger,
        site=request.site.name,
        base=request.base,
        configuration=digest_json(encode(request.configuration.identity)),
        kind=kind,
        snapshot=ingest_result.snapshot,
        test_set=ingest_result.test_set,
        new_patients=new_patient_count,
        held_back=selection.held_back,
        hold=ingest_result.hold,
        counts={name: count for name, count in ingest_result.counts.items() if name not in masked_counts},
        masked_counts=masked_counts,
        reasons=ingest_result.reasons,
    )


def _is_held_back(selection: TrainingSelection, learned_digests: list[str | None]) -> bool:
    """Whether nothing may be learned now, or only what the site's last version has learned already."""
    is_repeated = (
        bool(selection.held_back_by_class and learned_digests) and selection.training_set.digest == learned_digests[0]
    )
    return is_repeated or not selection.is_learnable
