"""The condition TestPatientReturned."""

from collections.abc import Iterable

from anamnesis.operator.api import condition_types, reasons
from anamnesis.operator.api.conditions import Condition, make_condition
from anamnesis.records import RETURNED_IMAGES, UpdateResult


def returned_patients_condition(latest_results: Iterable[tuple[str, UpdateResult]]) -> Condition:
    """Returns whether test patients came back under other names in the last ingest of a site.

    Args:
        latest_results: the name of each site, and the result of its last run.
    """
    counts = {site: result.counts.get(RETURNED_IMAGES, 0) for site, result in latest_results}
    returned = "; ".join(f"{site}: {count} images" for site, count in counts.items() if count)
    if not returned:
        return make_condition(
            condition_types.TEST_PATIENT_RETURNED,
            False,
            reasons.NO_IMAGE_RETURNED,
            "no image of a test or calibration patient came back under another name",
        )
    return make_condition(
        condition_types.TEST_PATIENT_RETURNED,
        True,
        reasons.IMAGES_RETURNED,
        f"{returned} are copies of images of test or calibration patients under other names. They are left out of "
        "training; the quarantine list in the site's own store names the files. Ask the site why its patients have "
        "new identifiers; if the new ones are right, issue the test set again",
    )
