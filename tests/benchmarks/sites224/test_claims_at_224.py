"""Claims from results made by hand."""

import json
import random
from dataclasses import replace

import pytest

from benchmarks.sites224.claims import CLAIMS_FILE, ClaimKind, ClaimOutcome, judge_claims, read_claims
from benchmarks.sites224.families import FAMILIES, REVERSED_SEEDS, SEEDS
from benchmarks.sites224.measure import SiteAnswers
from benchmarks.sites224.result import AnswerResult, SequenceRun
from benchmarks.sites224.setting import SequenceSetting
from benchmarks.sites224.sites import SEQUENCES

IMAGES, PROBES = 120, 30
FEW_DRAWS = replace(read_claims(), draws=600)
PLANNED = [(seed, 0) for seed in SEEDS] + [(seed, 1) for seed in REVERSED_SEEDS]


def make_run(
    family: str, sequence: str, key: tuple[int, int], right: float, iou: float, energy: float = 0.3
) -> SequenceRun:
    sites = SEQUENCES[sequence][:: -1 if key[1] else 1]
    generator = random.Random(f"{sequence}{key}")
    ranks = {site: generator.sample(range(IMAGES), IMAGES) for site in sites}
    rights = {site: tuple(int(rank < right * IMAGES) for rank in ranks[site]) for site in sites}
    noise = {site: [generator.uniform(-0.05, 0.05) for _ in range(PROBES)] for site in sites}
    scores = (tuple(right for _ in sites),) * len(sites)
    answer = AnswerResult(
        scores,
        scores,
        {site: SiteAnswers(rights[site], rights[site], rights[site]) for site in sites},
        iou={site: tuple(iou + value for value in noise[site]) for site in sites[:-1]},
        energy_last={"sts_ct": tuple(energy + value for value in noise["sts_ct"][: PROBES // 2])}
        if "sts_ct" in sites
        else {},
        faithful=dict.fromkeys(sites[:-1], True),
    )
    return SequenceRun(
        setting=SequenceSetting(sequence, family, "finetune", seed=key[0], order=key[1]),
        command="",
        code="",
        environment={},
        sites=sites,
        seconds=(1.0,) * len(sites),
        state_bytes=(1,) * len(sites),
        patients={site: tuple(row // 2 for row in range(IMAGES)) for site in sites},
        labels={site: tuple(row % 2 for row in range(IMAGES)) for site in sites},
        probes={site: tuple(range(PROBES)) for site in sites},
        answers={"head and prototypes": answer},
    )


def verdicts(**numbers: tuple[float, float, float]) -> dict[str, ClaimOutcome]:
    """Verdicts where the rows have these (accuracy, retention, energy); all others have (.8, .5, .3)."""
    rows = {}
    for claim in read_claims().claims:
        for family in (claim.row, claim.rival):
            values = numbers.get(family.replace(" ", "_").replace("-", "_"), (0.8, 0.5, 0.3))
            rows[claim.sequence, family] = [make_run(family, claim.sequence, key, *values) for key in PLANNED]
    return {item.claim.name: item.verdict for item in judge_claims(rows, FEW_DRAWS)}


def test_there_are_at_most_six_claims_about_rows_that_run_with_the_seeds_of_the_file():
    claims = read_claims()
    assert len(claims.claims) <= 6
    assert (claims.seeds, claims.reversed_seeds) == (SEEDS, REVERSED_SEEDS)
    for claim in claims.claims:
        for name in (claim.row, claim.rival):
            assert claim.sequence in FAMILIES[name].sequences
            assert (FAMILIES[name].seeds, FAMILIES[name].orders) == (SEEDS, (0, 1))
    assert json.loads(CLAIMS_FILE.read_text(encoding="utf-8"))["margins"] == dict(claims.margins)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.9, 0.5, 0.3), ClaimOutcome.HOLDS),
        ((0.8, 0.7, 0.3), ClaimOutcome.HOLDS),
        ((0.9, 0.4, 0.3), ClaimOutcome.DOES_NOT_HOLD),
        ((0.7, 0.7, 0.3), ClaimOutcome.DOES_NOT_HOLD),
    ],
)
def test_better_in_one_and_worse_in_neither(values: tuple[float, float, float], expected: ClaimOutcome):
    judged = verdicts(ewc_prototype=values)
    names = [claim.name for claim in read_claims().claims if claim.kind is ClaimKind.BETTER_IN_ONE]
    assert {judged[name] for name in names} == {expected}


def test_equal_rows_are_never_better_and_their_energy_is_no_lower():
    judged = verdicts()
    assert judged["energy in the tumour no lower than fine-tuning's, modality-224"] is ClaimOutcome.HOLDS
    assert judged["fusion above EWC, modality-224"] is not ClaimOutcome.HOLDS
    lower = verdicts(ewc_prototype=(0.8, 0.5, 0.1))
    assert lower["energy in the tumour no lower than fine-tuning's, modality-224"] is ClaimOutcome.DOES_NOT_HOLD


def test_maps_that_are_not_faithful_retain_nothing_and_a_missing_run_is_told():
    claims = FEW_DRAWS
    rows = {
        ("modality-224", name): [make_run(name, "modality-224", key, 0.8, iou) for key in PLANNED]
        for name, iou in (("ewc_prototype", 0.9), ("EWC", 0.5))
    }
    for run in rows["modality-224", "ewc_prototype"]:
        run.answers["head and prototypes"].faithful.update(dict.fromkeys(run.sites, False))  # type: ignore[attr-defined]
    first, *other_claims = judge_claims(rows, claims)
    assert first.differences["retention"].value == pytest.approx(-0.5, abs=0.03)
    assert first.verdict is ClaimOutcome.DOES_NOT_HOLD
    assert {item.verdict for item in other_claims} == {ClaimOutcome.NOT_MEASURED}
    rows["modality-224", "EWC"].pop()
    assert judge_claims(rows, claims)[0].verdict is ClaimOutcome.NOT_MEASURED
