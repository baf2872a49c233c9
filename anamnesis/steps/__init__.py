"""The steps of a pipeline: plain JSON in and out. Components and local runs call these and nothing below them.

What a step does not need, it does not load: only training and evaluation import torch.
"""

from collections.abc import Mapping
from dataclasses import replace

from anamnesis.records import (
    Evaluation,
    InputError,
    Outcome,
    OutcomeKind,
    Progress,
    SiteConfig,
    decode,
    encode,
    encode_object,
    silent,
)
from anamnesis.registry import Log, fold, judge, read_outcome, settle, write_outcome
from anamnesis.storage import Store, open_store
from anamnesis.updates.requests import EvaluationRequest, UpdateRequest
from anamnesis.updates.required_tests import all_sites, required_tests

Result = dict[str, object]


def ingest_site(
    site: Mapping[str, object], store: str, split_key: str, workers: int, progress: Progress = silent
) -> Result:
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
    from anamnesis.snapshots import split_key as read_key

    config = decode(SiteConfig, site, "site")
    return encode_object(ingest(config, open_store(store), read_key(split_key), workers, progress))


def begin_update(request: Mapping[str, object], workers: int, progress: Progress = silent) -> Result:
    """Makes a snapshot of what lies at the site of an update, and says whether there is anything to learn.

    Without an occasion there always is: who asked has looked. With one, an update that ends here leaves its outcome in
    the registry; where an earlier attempt left one, nothing is left to do.

    Returns:
        ``snapshot``, ``test_set``, ``counts``, ``reasons``, whether to ``learn``, and with an occasion the encoded
        ``outcome``, for ``promote_model`` to complete.
    """
    from anamnesis.snapshots import ingest
    from anamnesis.snapshots import split_key as read_key
    from anamnesis.steps.assess_ingestion import admit

    asked = decode(UpdateRequest, request, "request")
    store, occasion = open_store(asked.registry), asked.occasion
    if occasion and (known := read_outcome(store, occasion.claim)):
        return _begun(known, learn=False)
    ingested = ingest(asked.site, open_store(asked.store), read_key(asked.split_key), workers, progress)
    if not occasion:
        return {**encode_object(ingested), "learn": True, "outcome": None}
    outcome = admit(asked, occasion, ingested)
    learn = outcome.kind is OutcomeKind.CANDIDATE
    return _begun(outcome if learn else write_outcome(store, outcome), learn)


def _begun(outcome: Outcome, learn: bool) -> Result:
    encoded = encode_object(outcome)
    shown = {name: encoded[name] for name in ("snapshot", "test_set", "counts", "reasons")}
    return {**shown, "learn": learn, "outcome": encoded}


def train(request: Mapping[str, object], snapshot: str, test_set: str, progress: Progress = silent) -> Result:
    """Trains a candidate version.

    Args:
        request: encoded ``UpdateRequest``.
        snapshot: digest of what is learned.
        test_set: not opened; named so that a changed one is a changed step.
        progress: called per step.

    Returns:
        ``version``, ``input``, whether it was ``reused``, ``seconds`` and ``stored_bytes``.
    """
    from anamnesis.updates.update import update

    done = update(decode(UpdateRequest, request, "request"), snapshot, progress)
    cost = done.record.cost
    return {
        "version": done.record.version,
        "input": done.record.input,
        "reused": done.reused,
        "seconds": cost.seconds,
        "stored_bytes": cost.stored_bytes,
        "losses": encode(done.epochs[-1]) if done.epochs else {},
    }


def evaluate_forgetting(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = silent
) -> Result:
    """Judges a version on the frozen test set of every site, the new one's included.

    Its base is judged too where it was not yet: on a test set that was issued since, on what imported weights know, and
    on a new site whose task it knows already. Without that the gate would have nothing to compare with.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.frozen_evaluation import evaluate_frozen

    asked = decode(UpdateRequest, request, "request")
    sites = all_sites(asked, test_set)
    if asked.base:
        evaluate_frozen(asked.registry, asked.base, sites, progress)
    return _judged(evaluate_frozen(asked.registry, version, sites, progress))


def evaluate_saliency(
    request: Mapping[str, object], version: str, test_set: str, progress: Progress = silent
) -> Result:
    """Compares a version's saliency maps on the sites learned before with those of the versions that learned them.

    Returns:
        Encoded ``evaluations``, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.saliency_evaluation import evaluate_saliency as evaluate

    asked = decode(UpdateRequest, request, "request")
    known = {site.name for site in asked.sites}
    earlier = [site for site in all_sites(asked, test_set) if site.name in known]
    return _judged(evaluate(asked.registry, version, earlier, progress))


def evaluate_scheduled(request: Mapping[str, object], workers: int, progress: Progress = silent) -> Result:
    """Judges the champion anew, on frozen test sets and on cases that arrived since; see ``updates.monitor``.

    Args:
        request: encoded ``EvaluationRequest``.
        workers: processes that read files.
        progress: called per file and per site.

    Returns:
        The encoded ``monitoring`` that counts, and a ``summary`` of finite numbers.
    """
    from anamnesis.updates.scheduled_evaluation import evaluate_scheduled as evaluate

    found = evaluate(decode(EvaluationRequest, request, "request"), workers, progress)
    summary = {f"{one.site}/{one.window.value}/{one.metric}": float(one.score.value) for one in found.measurements}
    return {"monitoring": encode(found), "summary": summary}


def promote_model(
    request: Mapping[str, object], version: str, test_set: str, who: str, outcome: Mapping[str, object] | None = None
) -> Result:
    """Asks the gate, and writes what it says to the registry's log.

    With an occasion the log is left alone: the operator settles. The outcome, completed by the version, is written to
    the registry as the last act.

    Args:
        request: encoded ``UpdateRequest``.
        version: digest of the candidate.
        test_set: digest of the site's test set in force.
        who: stands in the log.
        outcome: what ``begin_update`` gave.

    Returns:
        ``verdict``, whether it is ``promoted``, the ``champion`` now, the ``reason``, the encoded ``decision`` and,
        with an occasion, the encoded ``outcome`` that counts.

    Raises:
        InputError: an occasion without an outcome.
    """
    asked = decode(UpdateRequest, request, "request")
    store = open_store(asked.registry)
    decision = judge(store, version, asked.gate, required_tests(asked, test_set))
    if not asked.occasion:
        settle(store, decision, who, decision.reason)
    champion = fold(Log(store).entries()).champion
    written = _conclude(store, version, outcome) if asked.occasion else None
    return {
        "verdict": decision.verdict.value,
        "promoted": champion == version,
        "champion": champion or "",
        "reason": decision.reason,
        "decision": encode(decision),
        "outcome": encode(written),
    }


def _conclude(store: Store, version: str, outcome: Mapping[str, object] | None) -> Outcome:
    if outcome is None:
        raise InputError("outcome: a request with an occasion needs what the ingest found")
    return write_outcome(store, replace(decode(Outcome, outcome, "outcome"), version=version))


def _judged(evaluations: tuple[Evaluation, ...]) -> Result:
    summary = {
        f"{evaluation.site}/{name}": float(metric.value)
        for evaluation in evaluations
        for name, metric in evaluation.metrics.items()
    }
    return {"evaluations": [encode(evaluation) for evaluation in evaluations], "summary": summary}
