"""Decides, after the ingest and before anything costly starts, whether a site's data is worth an update."""

from anamnesis.records import UpdateResult, UpdateResultKind, UpdateTrigger, digest_json, encode
from anamnesis.snapshots import IngestResult
from anamnesis.snapshots.training_selection import TrainingSelection, preview_training_set
from anamnesis.snapshots.training_sets import all_contents, list_training_sets
from anamnesis.storage.store import open_store
from anamnesis.updates.requests import UpdateRequest
from anamnesis.updates.version_chain import versions_of_site


def assess_ingestion(request: UpdateRequest, trigger: UpdateTrigger, ingest_result: IngestResult) -> UpdateResult:
    """Returns the result of the run so far: ``CANDIDATE``, still without a version, where the update continues.

    Args:
        request: of the update.
        trigger: of the request.
        ingest_result: of the site's current data.
    """
    learned_versions = versions_of_site(open_store(request.registry), request.base, request.site.name)
    learned_digests = [version.training_set for version in learned_versions]
    site_store = open_store(request.store)
    learned_contents = {
        content
        for training_set in list_training_sets(site_store)
        if training_set.digest in learned_digests
        for content in all_contents(training_set.all_members)
    }
    selection = preview_training_set(site_store, ingest_result.snapshot, request.minimum_patients)
    members = selection.training_set.all_members
    new_patient_count = sum(learned_contents.isdisjoint(contents) for contents in members.values())
    if ingest_result.snapshot in {version.snapshot for version in learned_versions}:
        kind = UpdateResultKind.NO_CHANGE
    elif new_patient_count < trigger.minimum_patients or _is_held_back(selection, learned_digests):
        kind = UpdateResultKind.TOO_FEW_PATIENTS
    else:
        kind = UpdateResultKind.CANDIDATE
    return UpdateResult(
        trigger=trigger,
        site=request.site.name,
        base=request.base,
        configuration=digest_json(encode(request.configuration)),
        kind=kind,
        snapshot=ingest_result.snapshot,
        test_set=ingest_result.test_set,
        new_patients=new_patient_count,
        held_back=selection.held_back,
        counts=ingest_result.counts,
        reasons=ingest_result.reasons,
    )


def _is_held_back(selection: TrainingSelection, learned_digests: list[str | None]) -> bool:
    """Whether nothing may be learned now, or only what the site's last version has learned already."""
    is_repeated = (
        bool(selection.held_back_by_class and learned_digests) and selection.training_set.digest == learned_digests[0]
    )
    return is_repeated or not selection.is_learnable
