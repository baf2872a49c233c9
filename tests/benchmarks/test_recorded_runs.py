"""Rows of ``docs/results_64.md`` run again, as recorded: at 64 pixels, with all images and the whole budget."""

import pytest

from benchmarks.scoreboard.results_file import read_results
from benchmarks.scoreboard.rows import ROWS
from benchmarks.scoreboard.run import run_setting
from benchmarks.scoreboard.schedule import RUNS
from benchmarks.scoreboard.summary import run_key, summarise
from benchmarks.scoreboard.trial_choices import read_choices, setting_of

TOLERANCE = 3.0
"""Points. On the machine of the page fine-tuning and EWC are equal to the record; others round differently."""
VALUES = ("class-incremental", "task-incremental", "learning accuracy")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # minutes, where the machine has nothing else to do


@pytest.mark.usefixtures("data_folder")
@pytest.mark.parametrize(
    ("sequence", "label"), [("modality", "fine-tune"), ("modality", "EWC"), ("shift", "ewc_prototype")]
)
def test_a_row_of_the_page_has_its_recorded_accuracy(sequence, label):
    row = next(row for row in ROWS if row.label == label)
    setting = setting_of(row, sequence, seed=0, order=0, current_choices=read_choices())
    recorded = summarise(read_results(RUNS / f"{sequence}.jsonl")[run_key(setting)]).values
    values = summarise(run_setting(setting)).values
    assert {name: values[name] for name in VALUES} == pytest.approx(
        {name: recorded[name] for name in VALUES}, abs=TOLERANCE
    )
