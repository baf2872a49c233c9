"""The operating points of a version at its sites, as its evaluations found them."""

from anamnesis.records import OperatingPoint
from anamnesis.registry.evaluations import read_evaluations
from anamnesis.storage.store import Store


def find_operating_points(store: Store, version: str) -> dict[str, OperatingPoint]:
    """Returns site -> operating point of the evaluations of a version: of several at a site, that of most patients.

    Raises:
        IntegrityError: an evaluation was changed.
    """
    points: dict[str, OperatingPoint] = {}
    for evaluation in read_evaluations(store, version):
        point = evaluation.operating_point
        if point and (evaluation.site not in points or points[evaluation.site].patients < point.patients):
            points[evaluation.site] = point
    return points
