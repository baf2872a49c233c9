"""A version that is evaluated: its outputs and operating points; its weights are loaded only where they are needed."""

from collections.abc import Iterable
from functools import cached_property

from torch import Tensor

from anamnesis.evaluation.operating_points import answer_classes
from anamnesis.evaluation.paired_differences import ScoredCases
from anamnesis.records import HeldOutSet, OperatingPoint, SiteRef, TaskType, find_class_indices
from anamnesis.registry.versions import read_version
from anamnesis.storage.store import Store
from anamnesis.updates.answers import CaseOutputs
from anamnesis.updates.case_predictions import predict_cases
from anamnesis.updates.case_sets import CaseSet, find_calibration_cases, find_validation_cases
from anamnesis.updates.evaluators import evaluator_of
from anamnesis.updates.model import LoadedModel, VersionDescription, load_model, read_description, read_site_features
from anamnesis.updates.operating_points import fit_operating_point
from anamnesis.updates.site_features import SiteFeatures
from anamnesis.updates.stored_operating_points import read_operating_points
from anamnesis.updates.version_chain import versions_of_site


class EvaluatedVersion:
    """A version on the cases of sites.

    Args:
        store: the model's registry.
        digest: of the version.
        reuses_predictions: whether predictions are stored at the site and read from there.
    """

    def __init__(self, store: Store, digest: str, reuses_predictions: bool = True) -> None:
        self.store, self.digest, self.version = store, digest, read_version(store, digest)
        self._reuses_predictions = reuses_predictions
        self._model: LoadedModel | None = None
        self._predictions: dict[tuple[str, str], dict[str, Tensor]] = {}

    @cached_property
    def description(self) -> VersionDescription:
        """What the version has learned."""
        return read_description(self.store, self.version)

    @cached_property
    def learned_points(self) -> dict[str, OperatingPoint]:
        """Site -> operating point, as fitted when the site was learned."""
        return read_operating_points(self.store, self.version)

    @cached_property
    def site_features(self) -> SiteFeatures:
        """Statistics of its sites; their order is that of the columns of ``CaseOutputs``."""
        return read_site_features(self.store, self.version, self.description)

    def load(self) -> LoadedModel:
        """Returns the version with its weights; they are read once."""
        if self._model is None:
            self._model = load_model(self.store, self.digest)
        return self._model

    def release(self) -> None:
        """Drops the weights from memory; the predictions stay."""
        self._model = None

    def outputs(self, cases: CaseSet) -> CaseOutputs:
        """Returns the outputs for the cases of a classification."""
        return CaseOutputs(**self.predictions(cases))

    def operating_point(self, site: SiteRef) -> OperatingPoint | None:
        """Returns the point of a site, fitted for this version on held-out patients: other updates move the outputs.

        They are the site's calibration set, or the validation patients whom the last update of the site held out. A
        site without either keeps the point of the version that learned it. So does a site that this version learned
        with validation patients: its point was fitted for this version.
        """
        if site.task.type is not TaskType.CLASSIFICATION or not self.description.knows(site.task):
            return None
        cases, source = find_calibration_cases(site), HeldOutSet.CALIBRATION
        if cases is None and self.version.site != site.name:
            versions = versions_of_site(self.store, self.digest, site.name)
            cases, source = find_validation_cases(site, versions), HeldOutSet.VALIDATION
        if cases is None:
            return self.learned_points.get(site.name)
        return fit_operating_point(
            cases,
            source,
            outputs=self.outputs(cases),
            labels=self.description.labels,
            sites=self.site_features.sites,
        )

    def operating_points(self, sites: Iterable[SiteRef]) -> dict[str, OperatingPoint]:
        """Returns site -> operating point of these sites, and of all others as they were learned."""
        points = dict(self.learned_points)
        for name, site in {site.name: site for site in reversed(tuple(sites))}.items():  # the current test set is first
            if point := self.operating_point(site):
                points[name] = point
        return points

    def score(self, cases: CaseSet, point: OperatingPoint | None) -> ScoredCases:
        """Returns what the version says where the site is known, at its operating point."""
        columns = list(find_class_indices(cases.site.task, self.description.labels))
        logits = self.outputs(cases).logits[:, columns].double()
        scaled = logits / float(point.temperature) if point else logits
        threshold = float(point.threshold) if point and point.threshold is not None else None
        return ScoredCases(scaled, answer_classes(scaled.softmax(1), threshold))

    def predictions(self, cases: CaseSet) -> dict[str, Tensor]:
        """Returns what the evaluator of the task's type needs of the cases, each [N, ...]."""
        key = cases.site.name, cases.digest
        if key not in self._predictions:
            self._predictions[key] = (
                predict_cases(cases, self.digest, self.load)
                if self._reuses_predictions
                else evaluator_of(cases.site.task).predict(self.load(), cases)
            )
        return self._predictions[key]
