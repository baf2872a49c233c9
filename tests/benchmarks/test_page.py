import re
from dataclasses import replace

import pytest

from benchmarks.scoreboard import result
from benchmarks.scoreboard.page import is_same_page, render_page, write_page
from benchmarks.scoreboard.results_file import write_result
from benchmarks.scoreboard.rows import DEFAULT_ROW, ROWS
from benchmarks.scoreboard.schedule import plan_runs
from benchmarks.scoreboard.table import DOES_NOT_LEARN, lines_of
from benchmarks.scoreboard.trial_choices import Choices, setting_of


@pytest.fixture
def runs(make_result, tmp_path):
    """Fine-tuning, ours in two seeds, and an EWC that does not learn."""
    scores_by_row = {"fine-tune": (10, 0.9), "ewc_prototype": (36, 0.9), "EWC": (34, 0.5)}
    for row in ROWS:
        for seed in (0, 1) if row.label in scores_by_row else ():
            right, learning = scores_by_row[row.label]
            setting = setting_of(row, "modality", seed=seed, order=0, current_choices=Choices())
            write_result(make_result(setting, right, learning=learning), tmp_path / "modality.jsonl")
    return tmp_path


def test_finished_rows_have_numbers_and_the_others_say_so(runs):
    text = render_page(runs, Choices())
    lines = text[text.index("## modality") :].splitlines()
    ours = next(line for line in lines if line.startswith("| ewc_prototype "))
    assert "95.0 ± 0.0" in ours  # (36 / 40 + 1) / 2
    tuned = next(line for line in lines if line.startswith("| fine-tune "))
    assert "-32.5 [" in tuned  # (10 - 36) / 40 / 2
    assert "| LwF | not run |" in text
    assert f"**6 of {len(plan_runs(Choices()))} runs" in text


def test_a_row_that_does_not_learn_is_marked(runs):
    text = render_page(runs, Choices())
    assert re.search(rf"\| EWC \({DOES_NOT_LEARN}\)", text)
    assert not re.search(rf"\| ewc_prototype \({DOES_NOT_LEARN}\)", text)


def test_claims_are_judged_by_the_numbers(runs):
    text = render_page(runs, Choices())
    reached = next(line for line in text.splitlines() if "reaches 82 %" in line)
    assert "| holds | 95.0 [" in reached
    below = next(line for line in text.splitlines() if "LwF" in line and "is above" in line)
    assert "not measured" in below
    paired = next(line for line in text.splitlines() if "is above `EWC`" in line)
    assert "| not settled | 95.0 and 92.5; +2.5 [" in paired


def test_the_page_says_whether_the_default_of_a_user_was_run(runs, make_result):
    assert "The default was not run yet" in render_page(runs, Choices())
    row = next(row for row in ROWS if row.label == DEFAULT_ROW)
    setting = setting_of(row, "modality", seed=0, order=0, current_choices=Choices())
    deletion = {"Deletion": 0.5, "DeletionRandom": 0.6, "DeletionAdvantage": 0.1, "Low": 0.05, "High": 0.15}
    result = replace(make_result(setting, 20), faithfulness={"a": deletion, "b": {**deletion, "Low": -0.1}})
    write_result(result, runs / "modality.jsonl")
    text = render_page(runs, Choices())
    assert "Runs of the default so far: modality 1." in text
    assert f"| {DEFAULT_ROW} | 0.500 | 0.600 | +0.100 | 1 of 2 |" in text


def test_runs_of_another_choice_do_not_count(make_result, runs):
    row = next(row for row in ROWS if row.label == "LwF")
    setting = setting_of(row, "modality", seed=0, order=0, current_choices=Choices())
    write_result(make_result(replace(setting, options={"weight": 77.0}), 20), runs / "modality.jsonl")
    assert "| LwF | not run |" in render_page(runs, Choices())


def test_equal_results_give_an_equal_page_and_pictures(runs, tmp_path):
    first, second = (write_page(runs, tmp_path / name / "docs" / "results_64.md", Choices()) for name in ("one", "two"))
    assert [path.name for path in first] == [path.name for path in second]
    assert len(first) > 3
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_only_lines_on_changed_code_may_differ():
    assert is_same_page("a\nRan with other code than there is now: EWC.\nb", "a\nb")
    assert not is_same_page("a\nb", "a\nc")


def test_a_table_without_any_run_has_no_numbers():
    assert all(not line.results and not line.values for line in lines_of({}))


def test_the_text_of_an_error_is_not_another_method_but_its_condition_is() -> None:
    source = 'def f(x):\n    """Text."""\n    if x > 1:  # why\n        raise ValueError("{}")\n    return x\n'
    stripped = result._strip_texts(source.format("a"))
    assert stripped == result._strip_texts(source.format("b").replace("Text.", "Words."))
    assert stripped != result._strip_texts(source.replace("x > 1", "x > 2"))
