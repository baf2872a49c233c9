"""Evaluations of versions on test sets: stored once, next to the version."""

from collections.abc import Container

from anamnesis.records import Evaluation, InputError, IntegrityError, digest_hex
from anamnesis.registry.registry_store import load_signed, write_signed
from anamnesis.registry.versions import version_key
from anamnesis.storage.store import Store, check_key


def evaluation_key(evaluation: Evaluation) -> str:
    """Returns the key of an evaluation."""
    file_name = f"{digest_hex(evaluation.test_set)}-{digest_hex(evaluation.evaluator)}.json"
    if "/" in evaluation.site:
        raise InputError(f"site {evaluation.site!r}: the name contains a slash; rename the site")
    return check_key(f"{_evaluations_prefix(evaluation.version)}{evaluation.site}/{file_name}")


def write_evaluation(store: Store, evaluation: Evaluation) -> Evaluation:
    """Stores an evaluation, unless one of the same evaluator on the same test set is stored.

    Returns:
        The stored evaluation: this one or the earlier one.

    Raises:
        InputError: the version is not stored.
    """
    if not store.exists(version_key(evaluation.version)):
        raise InputError(
            f"{store.url} has no version {evaluation.version}, so the evaluation of the version was not stored; "
            "restore the version from a backup"
        )
    return write_signed(store, evaluation_key(evaluation), evaluation)


def read_evaluations(store: Store, version: str, test_sets: Container[str] | None = None) -> tuple[Evaluation, ...]:
    """Returns the evaluations of one version, sorted by site, test set and evaluator.

    Args:
        store: store of the registry.
        version: digest of the version.
        test_sets: digests of the test sets to read; none reads all.

    Raises:
        IntegrityError: an evaluation was changed, is stored under the key of another one, or has no signature that
            counts.
    """
    evaluations = []
    for key in [info.key for info in store.list(_evaluations_prefix(version))]:
        test_set = f"sha256:{key.rpartition('/')[2].partition('-')[0]}"
        if test_sets is None or test_set in test_sets:
            evaluation = load_signed(store, Evaluation, key)
            if evaluation_key(evaluation) != key:
                raise IntegrityError(
                    f"{key}: the object holds the evaluation of the key {evaluation_key(evaluation)}; "
                    "restore the object from a backup"
                )
            evaluations.append(evaluation)
    return tuple(evaluations)


def _evaluations_prefix(version: str) -> str:
    return f"versions/{digest_hex(version)}/evaluations/"
