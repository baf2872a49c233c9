"""Which side each patient is on, and which studies are taken when there are more than wanted. Always whole patients."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from anamnesis.records import InputError, SiteConfig, Split
from anamnesis.snapshots.keys import side, stored_patient
from anamnesis.snapshots.quarantine import Ledger, Misfit
from anamnesis.snapshots.studies import Study


def check_sides(studies: Sequence[Study], key: bytes, site: str, tested: Collection[str], ledger: Ledger) -> None:
    """Refuses a source that puts a patient on both sides, or into training although they are in a test set.

    Args:
        studies: with what the source declares.
        key: the split key.
        site: the site's name.
        tested: stored names of patients in an issued test set.
        ledger: lists the files of such patients.

    Raises:
        InputError: says how many, and where their files are listed.
    """
    declared: dict[str, set[Split]] = defaultdict(set)
    for study in studies:
        if study.declared:
            declared[study.patient].add(study.declared)
    torn = {
        patient
        for patient, splits in declared.items()
        if len(splits) > 1 or (Split.TRAIN in splits and stored_patient(key, site, patient) in tested)
    }
    if torn:
        ledger.add(Misfit.BOTH_SIDES, (file for study in studies if study.patient in torn for file in study.files))
        ledger.write()
        raise InputError(
            f"site {site!r}: the source declares a split by which {len(torn)} patients are in training and test, or in "
            f"training although an issued test set has them; correct it for the files in {ledger.url}"
        )


def sides(studies: Sequence[Study], key: bytes, config: SiteConfig, tested: Collection[str]) -> dict[str, Split]:
    """Returns TRAIN or TEST for each patient: what the source declares for any study of theirs, else by key.

    Who is in an issued test set stays on the test side, also when ``test_fraction`` is lowered later.
    """
    found = {study.patient: study.declared for study in studies if study.declared}
    for patient in {study.patient for study in studies} - set(found):
        known = stored_patient(key, config.name, patient) in tested
        found[patient] = Split.TEST if known else side(key, patient, config.test_fraction)
    return found


def choose(studies: Sequence[Study], sides: Mapping[str, Split], names: Mapping[str, str], maximum: int) -> list[Study]:
    """Returns at most ``maximum`` studies, in their order.

    Classes get even shares; within a class both sides are thinned alike, and keep at least one study each.
    Patients come in the order of their stored names, whole except for the last. Studies without an answer fill
    what is left.

    Args:
        studies: all that could be taken.
        sides: side of each patient.
        names: stored name of each patient.
        maximum: 0 takes all.
    """
    if not maximum or len(studies) <= maximum:
        return list(studies)
    order = sorted(range(len(studies)), key=lambda i: (names[studies[i].patient], studies[i].study, studies[i].files))
    strata: dict[int, dict[Split, list[int]]] = defaultdict(lambda: defaultdict(list))
    pending = []
    for position in order:
        target = studies[position].target
        if target is None:
            pending.append(position)
        else:
            strata[-1 if target.index is None else target.index][sides[studies[position].patient]].append(position)
    classes = [strata[index] for index in sorted(strata)]
    quotas = _even([sum(map(len, parts.values())) for parts in classes], maximum)
    chosen = [place for parts, quota in zip(classes, quotas, strict=True) for place in _thinned(parts, quota)]
    chosen += pending[: maximum - len(chosen)]
    return [studies[place] for place in sorted(chosen)]


def _even(sizes: Sequence[int], total: int) -> list[int]:
    """Shares of ``total`` as even as the sizes allow; what a small one leaves goes to the others."""
    shares = [0] * len(sizes)
    left = total
    for done, index in enumerate(sorted(range(len(sizes)), key=lambda i: (sizes[i], i))):
        shares[index] = min(sizes[index], left // (len(sizes) - done))
        left -= shares[index]
    return shares


def _thinned(parts: Mapping[Split, Sequence[int]], quota: int) -> list[int]:
    test, train = parts.get(Split.TEST, []), parts.get(Split.TRAIN, [])
    wanted = round(quota * len(test) / (len(test) + len(train)))
    tested = min(len(test), max(wanted, min(1, quota - 1, len(test))))
    trained = min(len(train), quota - tested)
    return [*test[: quota - trained], *train[:trained]]
