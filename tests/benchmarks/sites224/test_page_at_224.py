"""The page says what the result files say, and its first line says whether the fusion brings anything."""

import dataclasses
from pathlib import Path

import pytest

from benchmarks.sites224.choices import FamilyChoice, FamilyChoices, write_choices
from benchmarks.sites224.claims import read_claims
from benchmarks.sites224.families import FAMILIES, TrialSetting, run_settings
from benchmarks.sites224.measure import SiteAnswers
from benchmarks.sites224.page import is_same_page, render_page
from benchmarks.sites224.result import AnswerResult, SequenceRun
from benchmarks.sites224.results_file import read_results, write_result
from benchmarks.sites224.setting import SequenceSetting
from benchmarks.sites224.sites import SEQUENCES

ROWS = ("fine-tune", "EWC", "parts without EWC", "ewc_prototype", "LwM")


def make_run(setting: SequenceSetting, right: int) -> SequenceRun:
    sites = SEQUENCES[setting.sequence][:: -1 if setting.order else 1]
    rights = tuple(int(row < right) for row in range(20))
    table = (tuple(right / 20 for _ in sites),) * len(sites)
    answer = AnswerResult(
        table,
        table,
        {site: SiteAnswers(rights, rights, rights) for site in sites},
        iou=dict.fromkeys(sites[:-1], (0.5,) * 4),
        energy_last={site: (0.2, 0.3) for site in sites if site == "sts_ct"},
        faithful=dict.fromkeys(sites[:-1], True),
    )
    return SequenceRun(
        setting=setting,
        command=setting.command,
        code="sha256:0",
        environment={"torch": "2"},
        sites=sites,
        seconds=(1.0,) * len(sites),
        state_bytes=(1_000_000,) * len(sites),
        patients={site: tuple(range(20)) for site in sites},
        labels={site: tuple(row % 2 for row in range(20)) for site in sites},
        probes=dict.fromkeys(sites, (0, 1, 2, 3)),
        answers={"head and prototypes": answer},
    )


def write_files(folder: Path, right: dict[str, int]) -> tuple[Path, Path]:
    choices = FamilyChoices(families={name: FamilyChoice(TrialSetting(1e-3), ()) for name in ROWS})
    write_choices(choices, folder / "chosen.json")
    for name in ROWS:
        for setting in run_settings(name, TrialSetting(1e-3)):
            write_result(make_run(setting, right.get(name, 12)), folder / "runs.jsonl")
    return folder / "runs.jsonl", folder / "chosen.json"


@pytest.mark.parametrize(
    ("right", "headline"),
    [
        ({"ewc_prototype": 18}, "is better than each of its parts alone, on both sequences"),
        ({}, "is not shown:** of 4 comparisons 0 hold"),
    ],
)
def test_the_first_line_says_whether_the_fusion_is_better(tmp_path: Path, right: dict[str, int], headline: str) -> None:
    page = render_page(*write_files(tmp_path, right), tmp_path / "none.json")
    assert headline in page.split("\n")[4]
    assert f"| {read_claims().claims[0].name} | " in page
    assert "| ewc_prototype | head and prototypes | " in page
    assert "40 of 40 runs of the rows with a chosen setting are done" in page


def test_a_run_that_is_missing_leaves_no_verdict_and_code_that_changed_is_no_other_page(tmp_path: Path) -> None:
    runs, choices = write_files(tmp_path, {"ewc_prototype": 18})
    page = render_page(runs, choices, tmp_path / "none.json")
    assert "Ran with other code than there is now: EWC; LwM;" in page
    assert is_same_page(page, page.replace("Ran with other code than there is now: EWC;", "Ran with other code: EWC;"))
    assert not is_same_page(page, page.replace("0.900", "0.901"))
    lines = runs.read_text(encoding="utf-8").splitlines(keepends=True)
    runs.write_text("".join(line for line in lines if "ewc_prototype" not in line), encoding="utf-8")
    assert "is not finished: no verdict yet" in render_page(runs, choices, tmp_path / "none.json")


def test_results_come_back_as_they_were_written(tmp_path: Path) -> None:
    setting = SequenceSetting("site-224", "EWC", "ewc_prototype", {"consolidation": {"penalty": 3e4}}, seed=1, order=1)
    result = make_run(setting, 7)
    write_result(dataclasses.replace(result, seconds=(9.0, 9.0)), tmp_path / "runs.jsonl")
    write_result(result, tmp_path / "runs.jsonl")
    assert read_results(tmp_path / "runs.jsonl") == {setting.key: result}
    assert "--option consolidation.penalty=30000.0 --seed 1 --order 1" in setting.command
    assert set(ROWS) < set(FAMILIES)
