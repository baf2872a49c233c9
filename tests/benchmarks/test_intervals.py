from benchmarks.scoreboard.intervals import paired_difference
from benchmarks.scoreboard.result import RunSetting


def runs(make_result, row, right, seeds=(0, 1, 2)):
    return [make_result(RunSetting("modality", "finetune", row=row, seed=seed), right) for seed in seeds]


def test_the_mean_is_the_difference_of_final_averages(make_result):
    mean, low, high = paired_difference(runs(make_result, "a", 30), runs(make_result, "b", 20), "class")
    assert abs(mean - 0.5 * 10 / 40) < 1e-12  # the second site is equal
    assert low < mean < high


def test_a_row_does_not_differ_from_itself(make_result):
    assert paired_difference(runs(make_result, "a", 30), runs(make_result, "b", 30), "class") == (0.0, 0.0, 0.0)


def test_only_runs_of_one_seed_and_order_are_compared(make_result):
    assert paired_difference(runs(make_result, "a", 30, (0,)), runs(make_result, "b", 20, (1,)), "class") is None
    mean, *_ = paired_difference(runs(make_result, "a", 30, (0, 1)), runs(make_result, "b", 20, (1, 2)), "task")
    assert abs(mean - 0.125) < 1e-12


def test_a_single_run_still_has_the_spread_of_its_patients(make_result):
    _, low, high = paired_difference(runs(make_result, "a", 30, (0,)), runs(make_result, "b", 20, (0,)), "class")
    assert high - low > 0.02


def test_runs_that_disagree_widen_the_interval(make_result):
    same = paired_difference(runs(make_result, "a", 30), runs(make_result, "b", 20), "class")
    ours = [
        make_result(RunSetting("modality", "finetune", row="a", seed=s), right) for s, right in enumerate((40, 30, 20))
    ]
    apart = paired_difference(ours, runs(make_result, "b", 20), "class")
    assert apart[2] - apart[1] > same[2] - same[1]
