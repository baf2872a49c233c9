"""The steps of a pipeline: plain JSON in and out. Components and local runs call these and nothing below them.

What a step does not need, it does not load: only training and evaluation import torch.
"""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.records import (
    Evaluation,
    InputError,
    Progress,
    SiteConfig,
    UpdateResult,
    UpdateResultKind,
    decode,
    encode,
    encode_object,
    ignore_progress,
)
from anamnesis.registry import (
    Log,
    build_history,
    evaluate_gate,
    read_update_result,
    record_decision,
    write_update_result,
)
from anamnesis.storage import Store, open_store
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest
from anamnesis.updates.required_tests import required_tests, tested_sites

StepResult = dict[str, object]


def ingest_site(
    site: Mapping[str, object], store: str, split_key: str, workers: int, progress: Progress = ignore_progress
) -> StepResult:
    """Makes a snapshot of what lies at a site.

    Args:
        site: encoded ``SiteConfig``.
        store: URL of the site's own store.
        split_key: where the model's split key is.
        workers: processes that read files.
        progress: called per file.

    Returns:
        Encoded ``IngestResult``.
    """
    from anamnesis.snapshots import ingest
    from anamnesis.snapshots import read_split_key as read_key

    config = decode(SiteConfig, site, "site")
    return encode_object(ingest(config, open_store(store), read_key(split_key), workers, progress))


def begin_update(request: Mapping[str, object], workers: int, progress: Progress = ignore_progress) -> StepResult:
    """Makes a snapshot of what lies at the site of an update, and says whether there is anything to learn.

    Without an occasion there always is: who asked has looked. With one, an update that ends here leaves its outcome in
    the registry; where an earlier attempt left one, nothing is left to do.

    Returns:
        ``snapshot``, ``test_set``, ``counts``, ``reasons``, whether to ``learn``, and with an occasion the encoded
        ``update_result``, for ``promote_model`` to complete.
    """
    from anamnesis.snapshots import ingest
    from anamnesis.snapshots import read_split_key as read_key
    from anamnesis.steps.assess_ingestion import assess_ingestion

    update_request = decode(UpdateRequest, request, "request")
    store, trigger = open_store(update_request.registry), update_request.trigger
    if trigger and (stored_outcome := read_update_result(store, trigger.claim)):
        return _begin_result(stored_outcome, learn=False)
    ingest_result = ingest(
        update_request.site, open_store(update_request.store), read_key(update_request.split_key), workers, progress
    )
    if not trigger:
        return {**encode_object(ingest_result), "learn": True, "update_result": None}
    outcome = assess_ingestion(update_request, trigger, ingest_result)
    learn = outcome.kind is UpdateResultKind.CANDIDATE
    return _begin_result(outcome if learn else write_update_result(store, outcome), learn)


def _begin_result(outcome: UpdateResult, learn: bool) -> StepResult:
    encoded = encode_object(outcome)
    shared_fields = {name: encoded[name] for name in ("snapshot", "test_set", "counts", "reasons")}
    return {**shared_fields, "learn": learn, "update_result": encoded}


def train(
    request: Mapping[str, object], snapshot: str, test_set: str, progress: Progress = ignore_progress
) -> StepResult:
    """Trains a candidate version.

    Args:
        request: encoded ``UpdateRequest``.
        snapshot: digest of what is learned.
        test_set: not opened; named so that a changed one is a changed step.
        progress: called per step.

    Returns:
        ``version``, ``input``, whether it was ``reused``, ``seconds`` and ``stored_bytes``.
    """
    from anamnesis.updates.update import run_update

    trained = run_update(decode(UpdateRequest, request, "request"), snapshot, progress)
    cost = trained.record.cost
    return {
        "version": trained.record.version,
        "input": trained.record.input_digest,
        "reused": trained.is_reused,
        "seconds": cost.seconds,
        "stored_bytes": cost.stored_bytes,
        "losses": encode(trained.epoch_losses[-1]) if trained.epoch_losses else {},
    }


def evaluate_forgetting(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = ignore_progress
) -> StepResult:
    """Judges a version on the frozen test set of every site, the new one's included.

    Its base is judged too where it was not yet: on a test set that was issued since, on what imported weights know, and
    on a new site whose task it knows already. Without that the gate would have nothing to compare with.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.frozen_evaluation import evaluate_frozen

    update_request = decode(UpdateRequest, request, "request")
    sites = tested_sites(update_request, test_set)
    if update_request.base:
        evaluate_frozen(update_request.registry, update_request.base, sites, progress)
    return _evaluation_result(evaluate_frozen(update_request.registry, version, sites, progress))


def evaluate_saliency(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = ignore_progress
) -> StepResult:
    """Compares a version's saliency maps on the sites learned before with those of the versions that learned them.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.saliency_evaluation import evaluate_saliency as evaluate

    update_request = decode(UpdateRequest, request, "request")
    learned_names = {site.name for site in update_request.sites}
    earlier_sites = [site for site in tested_sites(update_request, test_set) if site.name in learned_names]
    return _evaluation_result(evaluate(update_request.registry, version, earlier_sites, progress))


def evaluate_scheduled(request: Mapping[str, object], workers: int, progress: Progress = ignore_progress) -> StepResult:
    """Judges the champion anew, on frozen test sets and on cases that arrived since; see ``updates.monitor``.

    Args:
        request: encoded ``EvaluationRequest``.
        workers: processes that read files.
        progress: called per file and per site.

    Returns:
        The encoded ``scheduled_evaluation`` that counts, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.scheduled_evaluation import evaluate_scheduled as evaluate

    evaluation = evaluate(decode(EvaluationRequest, request, "request"), workers, progress)
    summary = {
        f"{measurement.site}/{measurement.evaluation_set.value}/{measurement.metric}": float(measurement.score.value)
        for measurement in evaluation.measurements
    }
    return {"scheduled_evaluation": encode(evaluation), "summary": summary}


def promote_model(
    request: Mapping[str, object],
    version: str,
    test_set: str,
    author: str,
    update_result: Mapping[str, object] | None = None,
) -> StepResult:
    """Asks the gate, and writes what it says to the registry's log.

    With an occasion the log is left alone: the operator settles. The outcome, completed by the version, is written to
    the registry as the last act.

    Args:
        request: encoded ``UpdateRequest``.
        version: digest of the candidate.
        test_set: digest of the site's test set in force.
        author: stands in the log.
        update_result: what ``begin_update`` gave.

    Returns:
        ``verdict``, whether it is ``promoted``, the ``champion`` now, the ``reason``, the encoded ``decision`` and,
        with an occasion, the encoded ``update_result`` that counts.

    Raises:
        InputError: an occasion without an outcome.
    """
    update_request = decode(UpdateRequest, request, "request")
    store = open_store(update_request.registry)
    decision = evaluate_gate(store, version, update_request.gate, required_tests(update_request, test_set))
    if not update_request.trigger:
        record_decision(store, decision, author, decision.reason)
    champion = build_history(Log(store).entries()).champion
    stored_outcome = _write_final_outcome(store, version, update_result) if update_request.trigger else None
    return {
        "verdict": decision.verdict.value,
        "promoted": champion == version,
        "champion": champion or "",
        "reason": decision.reason,
        "decision": encode(decision),
        "update_result": encode(stored_outcome),
    }


def _write_final_outcome(store: Store, version: str, update_result: Mapping[str, object] | None) -> UpdateResult:
    if update_result is None:
        raise InputError("update_result: a request with an occasion needs what the ingest found")
    return write_update_result(store, replace(decode(UpdateResult, update_result, "update_result"), version=version))


def _evaluation_result(evaluations: tuple[Evaluation, ...]) -> StepResult:
    summary = {
        f"{evaluation.site}/{name}": float(metric.value)
        for evaluation in evaluations
        for name, metric in evaluation.metrics.items()
    }
    return {"evaluations": [encode(evaluation) for evaluation in evaluations], "summary": summary}
