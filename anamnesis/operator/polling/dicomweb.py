"""Any DICOMweb server: its list of studies, with the number of instances of each."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import PollResult
from anamnesis.records import SourceState, digest_json
from anamnesis.sources.dicomweb import DICOMwebDataSource


def poll_dicomweb(url: str, cursor: str, environment: Mapping[str, str]) -> PollResult:
    """See ``SourcePoller``. The fingerprint covers studies and their instance counts; patients are only counted."""
    studies, note = DICOMwebDataSource.from_url(url.removeprefix("dicomweb+"), environment).list_studies_with_note()
    study_sizes = sorted([study.uid, study.instance_count] for study in studies)
    patients = {study.patient or study.uid for study in studies}
    instance_count = sum(study.instance_count for study in studies)
    return PollResult(SourceState(digest_json(study_sizes), instance_count, len(patients)), note=note)
