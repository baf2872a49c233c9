"""Evaluates versions on this machine."""

from anamnesis.local.context import SelectedModel
from anamnesis.local.progress import Reporter
from anamnesis.local.sources import make_site_inspector
from anamnesis.local.updates import observe_and_plan
from anamnesis.local.versions import find_version
from anamnesis.records import Evaluation, InputError
from anamnesis.records.timestamps import utc_now


def evaluate_version(
    selected_model: SelectedModel, version_reference: str, progress_reporter: Reporter
) -> tuple[Evaluation, ...]:
    """Evaluates one version on all sites that the champion has learned.

    Raises:
        InputError: there is no such version.
    """
    from anamnesis.updates.frozen_evaluation import evaluate_frozen
    from anamnesis.updates.saliency_evaluation import evaluate_saliency

    version = find_version(selected_model.registry, version_reference)
    observation, _, _ = observe_and_plan(selected_model.local_context(""), make_site_inspector(selected_model), utc_now)
    sites, registry = [site for site in observation.learned_sites if site.test_set], selected_model.establish_registry()
    if not observation.learned_sites:
        raise InputError(f"{selected_model.model.name}: no site is learned yet; run `anamnesis run -f FILE` first")
    if not sites:
        raise InputError(
            f"{selected_model.model.name}: no learned site has a test set; run `anamnesis ingest -f FILE` first"
        )
    frozen_evaluations = evaluate_frozen(registry, version, sites, progress_reporter.track("forgetting"))
    return (*frozen_evaluations, *evaluate_saliency(registry, version, sites, progress_reporter.track("saliency")))
