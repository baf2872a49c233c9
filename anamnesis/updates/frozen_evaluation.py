"""Evaluation of a version on the frozen test sets of its sites."""

from collections.abc import Sequence

from anamnesis.records import CANDIDATE, Evaluation, PairedDifference, Progress, SiteRef, digest_json, ignore_progress
from anamnesis.registry.evaluations import read_evaluations, write_evaluation
from anamnesis.registry.gate import FORGETTING
from anamnesis.registry.looks import record_look
from anamnesis.storage.store import Store
from anamnesis.updates.case_sets import CaseSet, find_test_cases
from anamnesis.updates.evaluated_version import EvaluatedVersion
from anamnesis.updates.evaluators import evaluator_of
from anamnesis.updates.reference_versions import find_references

EVALUATOR = digest_json({"name": FORGETTING, "revision": 5})


def evaluate_frozen(
    store: Store, version: str, sites: Sequence[SiteRef], progress: Progress = ignore_progress
) -> tuple[Evaluation, ...]:
    """Evaluates a version on the frozen test set of every site whose task it knows, and stores the evaluations.

    A test set that this evaluator has already used for the version is not opened again. The registry has each look at a
    test set before the set is opened.

    Args:
        store: the model's registry.
        version: digest of the version.
        sites: with their stores and test sets.
        progress: called per site.

    Raises:
        RefusedError: a test set was frozen for another task, or for classes in another order.
    """
    evaluations = {
        stored_evaluation.test_set: stored_evaluation
        for stored_evaluation in read_evaluations(store, version)
        if stored_evaluation.evaluator == EVALUATOR
    }
    pending_sites = [site for site in sites if site.test_set not in evaluations]
    if pending_sites:
        evaluator = _FrozenEvaluator(store, version, sites)
        for site_number, site in enumerate(pending_sites, start=1):
            if evaluator.version.description.knows(site.task):
                evaluations[site.test_set] = write_evaluation(store, evaluator.evaluate(site))
            progress(site_number, len(pending_sites), "test sets")
    return tuple(evaluations[site.test_set] for site in sites if site.test_set in evaluations)


class _FrozenEvaluator:
    """One version on test sets, compared with its references.

    Args:
        store: the model's registry.
        version: digest of the version.
        sites: those whose operating points count for answers without a known site.
    """

    def __init__(self, store: Store, version: str, sites: Sequence[SiteRef]) -> None:
        self.store, self.version = store, EvaluatedVersion(store, version)
        self._points = self.version.operating_points(sites)
        self._references: dict[str, EvaluatedVersion] = {}

    def evaluate(self, site: SiteRef) -> Evaluation:
        """Returns the evaluation on the test set of a site."""
        version, evaluator = self.version, evaluator_of(site.task)
        look = record_look(
            self.store,
            site.test_set,
            version=version.digest,
            base=version.version.base or "",
            purpose=CANDIDATE,
        )
        cases, point = find_test_cases(site), self._points.get(site.name)
        return Evaluation(
            version=version.digest,
            site=site.name,
            task=site.task.name,
            test_set=site.test_set,
            evaluator=EVALUATOR,
            name=FORGETTING,
            metrics=evaluator.score(version, cases, self._points),
            patients=len(set(cases.patients)),
            class_patients=evaluator.count_fewest_patients(cases),
            operating_point=point,
            differences=self._compare(cases),
            details=evaluator.describe(version, cases, point),
            look=look,
        )

    def _compare(self, cases: CaseSet) -> tuple[PairedDifference, ...]:
        differences: list[PairedDifference] = []
        for digest in find_references(self.store, self.version.version, cases.site):
            reference = self._references.setdefault(digest, EvaluatedVersion(self.store, digest))
            if reference.description.knows(cases.site.task):
                point = self._points.get(cases.site.name)
                differences += evaluator_of(cases.site.task).compare(self.version, reference, cases, point)
            reference.release()
        return tuple(differences)
