"""The claims of ``claims.json``, which was committed before the runs, judged from the results.

A row is better in one measure and worse in neither where its difference in accuracy or in retention is above 0, and
neither is below minus its margin. The p-value is the largest of three: twice the smaller one of the two differences,
and that of each margin (an intersection-union test, Berger, Technometrics 24 (1982) 295). Holm's correction is over all
claims of the file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from anamnesis.records import decode
from benchmarks.sites224.bootstrap import Difference, SiteScores, holm, paired_difference
from benchmarks.sites224.choices import main_answer
from benchmarks.sites224.result import SequenceRun

CLAIMS_FILE = Path(__file__).with_name("claims.json")
ACCURACY, RETENTION, ENERGY = "accuracy", "retention", "energy"


class ClaimKind(StrEnum):
    """What a claim says."""

    BETTER_IN_ONE = "better in one"
    """In accuracy or in retention of faithful maps, and in neither worse by more than the margin."""
    NO_LOWER_ENERGY = "no lower energy"
    """The energy of the maps inside the contour is not lower by more than the margin."""


@dataclass(frozen=True, slots=True)
class RowClaim:
    """A claim about two rows on a sequence."""

    name: str
    kind: ClaimKind
    sequence: str
    row: str
    rival: str


@dataclass(frozen=True, slots=True)
class ClaimsFile:
    """The file of claims.

    Attributes:
        seeds: of the runs in the declared order.
        reversed_seeds: of those in the reversed order.
        level: of all claims together.
        draws: of the bootstrap.
        margins: by measure.
        claims: at most six.
    """

    seeds: tuple[int, ...]
    reversed_seeds: tuple[int, ...]
    level: float
    draws: int
    margins: Mapping[str, float]
    claims: tuple[RowClaim, ...]


class ClaimOutcome(StrEnum):
    """What the runs say about a claim."""

    HOLDS = "holds"
    NOT_SETTLED = "not settled"
    DOES_NOT_HOLD = "does not hold"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A claim, its verdict and the numbers behind it.

    Attributes:
        claim: which.
        verdict: see ``ClaimOutcome``.
        differences: by measure.
        p_value: adjusted; none where runs are missing.
        runs: number of pairs of runs.
    """

    claim: RowClaim
    verdict: ClaimOutcome
    differences: Mapping[str, Difference]
    p_value: float | None
    runs: int


def read_claims(path: Path = CLAIMS_FILE) -> ClaimsFile:
    """Returns the claims."""
    return decode(ClaimsFile, json.loads(path.read_text(encoding="utf-8")), str(path))


def judge_claims(runs_by_row: Mapping[tuple[str, str], Sequence[SequenceRun]], claims: ClaimsFile) -> list[JudgedClaim]:
    """Returns the verdict on each claim.

    Args:
        runs_by_row: (sequence, family) -> its runs.
        claims: of the file.
    """
    planned = {(seed, 0) for seed in claims.seeds} | {(seed, 1) for seed in claims.reversed_seeds}
    measured: list[tuple[RowClaim, Mapping[str, Difference], float | None, int]] = []
    for claim in claims.claims:
        pairs = _pairs(
            runs_by_row.get((claim.sequence, claim.row), ()), runs_by_row.get((claim.sequence, claim.rival), ())
        )
        if {key for key, _ in pairs} != planned:
            measured.append((claim, {}, None, len(pairs)))
            continue
        differences = _differences(claim, [pair for _, pair in pairs], claims.draws)
        measured.append((claim, differences, _p_value(claim, differences, claims.margins), len(pairs)))
    adjusted = iter(holm([1.0 if p is None else p for _, _, p, _ in measured]))
    judged = []
    for claim, values, p_value, runs in measured:
        corrected = next(adjusted)
        verdict = ClaimOutcome.NOT_MEASURED if p_value is None else _verdict(claim, values, corrected, claims)
        judged.append(JudgedClaim(claim, verdict, values, None if p_value is None else corrected, runs))
    return judged


def _pairs(
    first: Sequence[SequenceRun], second: Sequence[SequenceRun]
) -> list[tuple[tuple[int, int], tuple[SequenceRun, SequenceRun]]]:
    """Returns the runs of both rows with equal seed and order."""
    by_key = [{(run.setting.seed, run.setting.order): run for run in runs} for runs in (first, second)]
    return [(key, (by_key[0][key], by_key[1][key])) for key in sorted(by_key[0].keys() & by_key[1].keys())]


def _differences(
    claim: RowClaim, pairs: Sequence[tuple[SequenceRun, SequenceRun]], draws: int
) -> dict[str, Difference]:
    measures = (ENERGY,) if claim.kind is ClaimKind.NO_LOWER_ENERGY else (ACCURACY, RETENTION)
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    return {name: paired_difference(site_scores(first, name), site_scores(second, name), draws) for name in measures}


def site_scores(runs: Sequence[SequenceRun], measure: str) -> dict[str, SiteScores]:
    """Returns a measure of some runs by site; a site that was the last in some of them has no retention there."""
    functions = {ACCURACY: _accuracy_scores, RETENTION: _retention_scores, ENERGY: _energy_scores}
    scores = {site: functions[measure](runs, site) for site in sorted(runs[0].sites)}
    return {site: value for site, value in scores.items() if value is not None}


def _accuracy_scores(runs: Sequence[SequenceRun], site: str) -> SiteScores:
    values = np.array([main_answer(run).images[site].class_right for run in runs], dtype=float)
    return SiteScores(values, np.array(runs[0].labels[site]), np.array(runs[0].patients[site]), np.ones(len(runs)))


def _retention_scores(runs: Sequence[SequenceRun], site: str) -> SiteScores:
    """Returns the retained IoU of each probe; 0 where the maps of the site are not faithful after the last update."""
    rows = runs[0].probes[site]
    values = np.array(
        [
            [np.nan if value is None else value for value in main_answer(run).iou.get(site, (None,) * len(rows))]
            for run in runs
        ],
        dtype=float,
    )
    factors = np.array([float(main_answer(run).faithful.get(site, False)) for run in runs])
    patients = np.unique(np.array(runs[0].patients[site])[list(rows)], return_inverse=True)[1]
    return SiteScores(values, np.zeros(len(rows)), patients, factors)


def _energy_scores(runs: Sequence[SequenceRun], site: str) -> SiteScores | None:
    """Returns the energy in the contour of each probe that has one: those of the last class, which are tumours."""
    energies = [main_answer(run).energy_last.get(site) for run in runs]
    if not all(energies):
        return None
    labels, patients = np.array(runs[0].labels[site]), np.array(runs[0].patients[site])
    rows = [row for row in runs[0].probes[site] if labels[row] == labels.max()]
    values = np.array(energies, dtype=float)
    groups = np.zeros(values.shape[1])
    return SiteScores(values, groups, np.unique(patients[rows], return_inverse=True)[1], np.ones(len(runs)))


def _p_value(claim: RowClaim, differences: Mapping[str, Difference], margins: Mapping[str, float]) -> float:
    no_worse = [difference.p_above(-margins[name]) for name, difference in differences.items()]
    if claim.kind is ClaimKind.NO_LOWER_ENERGY:
        return max(no_worse)
    better = 2 * min(difference.p_above(0.0) for difference in differences.values())
    return min(1.0, max(better, *no_worse))


def _verdict(
    claim: RowClaim, differences: Mapping[str, Difference], p_value: float, claims: ClaimsFile
) -> ClaimOutcome:
    if p_value < claims.level:
        return ClaimOutcome.HOLDS
    is_worse = any(difference.high < -claims.margins[name] for name, difference in differences.items())
    is_never_better = claim.kind is ClaimKind.BETTER_IN_ONE and all(
        difference.high <= 0 for difference in differences.values()
    )
    return ClaimOutcome.DOES_NOT_HOLD if is_worse or is_never_better else ClaimOutcome.NOT_SETTLED
