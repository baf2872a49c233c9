"""What test sets say of versions: written once, beside the version."""

from collections.abc import Container

from anamnesis.records import Evaluation, InputError, IntegrityError, hex_of
from anamnesis.registry.versions import version_key
from anamnesis.storage.documents import load, write_once
from anamnesis.storage.store import Store, check_key


def evaluation_key(evaluation: Evaluation) -> str:
    """Returns where an evaluation lies."""
    cases = f"{hex_of(evaluation.test_set)}-{hex_of(evaluation.evaluator)}.json"
    if "/" in evaluation.site:
        raise InputError(f"site {evaluation.site!r}: its name has a slash")
    return check_key(f"{_folder(evaluation.version)}{evaluation.site}/{cases}")


def write_evaluation(store: Store, evaluation: Evaluation) -> Evaluation:
    """Stores what an evaluator found, unless the same evaluator has judged the same cases before.

    Returns:
        The stored evaluation: this one or the earlier.

    Raises:
        InputError: its version is not stored.
    """
    if not store.exists(version_key(evaluation.version)):
        raise InputError(f"{store.url} has no version {evaluation.version}: an evaluation lies beside its version")
    return write_once(store, evaluation_key(evaluation), evaluation)


def read_evaluations(store: Store, version: str, test_sets: Container[str] | None = None) -> tuple[Evaluation, ...]:
    """Returns the evaluations of one version, sorted by site, test set and evaluator.

    Args:
        store: the registry's.
        version: its digest.
        test_sets: digests of the test sets to read; none reads all.

    Raises:
        IntegrityError: one was changed or lies in another's place.
    """
    found = []
    for key in [info.key for info in store.list(_folder(version))]:
        cases = f"sha256:{key.rpartition('/')[2].partition('-')[0]}"
        if test_sets is None or cases in test_sets:
            evaluation = load(Evaluation, store.get(key), key)
            if evaluation_key(evaluation) != key:
                raise IntegrityError(f"{key}: is {evaluation_key(evaluation)}; its bytes were changed")
            found.append(evaluation)
    return tuple(found)


def _folder(version: str) -> str:
    return f"versions/{hex_of(version)}/evaluations/"
