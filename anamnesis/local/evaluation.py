"""Evaluates versions and asks them about single studies, on this machine."""

from anamnesis.local.context import Selected
from anamnesis.local.progress import Reporter
from anamnesis.local.sources import looker
from anamnesis.local.updates import look_and_plan
from anamnesis.local.versions import find_version
from anamnesis.records import Evaluation, InputError
from anamnesis.records.timestamps import utc_now


def evaluate_version(selected: Selected, text: str, tell: Reporter) -> tuple[Evaluation, ...]:
    """Evaluates one version on every site that the champion has learned.

    Raises:
        InputError: there is no such version.
    """
    from anamnesis.updates.frozen_evaluation import evaluate_frozen
    from anamnesis.updates.saliency_evaluation import evaluate_saliency

    version = find_version(selected.registry, text)
    observation, _, _ = look_and_plan(selected.wanted(""), looker(selected), utc_now)
    sites, url = [site for site in observation.learned if site.test_set], selected.registry.url
    if not sites:
        raise InputError(f"{selected.model.name}: no learned site has a test set; run `anamnesis ingest` first")
    frozen = evaluate_frozen(url, version, sites, tell.track("forgetting"))
    return (*frozen, *evaluate_saliency(url, version, sites, tell.track("saliency")))
