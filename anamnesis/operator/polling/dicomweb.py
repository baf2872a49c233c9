"""Any DICOMweb server: its list of studies, with the number of instances of each."""

from collections.abc import Mapping

from anamnesis.operator.polling.poller import Glance
from anamnesis.records import Arrival, digest_json
from anamnesis.sources.dicomweb import DICOMweb


def look_at_dicomweb(url: str, cursor: str, environment: Mapping[str, str]) -> Glance:
    """See ``Probe``. The fingerprint counts studies and their numbers of instances; patients are counted, not kept."""
    studies = DICOMweb.at(url.removeprefix("dicomweb+"), environment).studies()
    listed = sorted([study.uid, study.instances] for study in studies)
    patients = {study.patient or study.uid for study in studies}
    return Glance(Arrival(digest_json(listed), sum(study.instances for study in studies), len(patients)))
