from benchmarks.scoreboard import trial_choices
from benchmarks.scoreboard.results_file import write_result
from benchmarks.scoreboard.rows import FAMILIES, ROWS
from benchmarks.scoreboard.summary import run_key


def test_no_two_trials_of_a_family_are_equal_and_none_has_more_than_six():
    for name, family in FAMILIES.items():
        settings = trial_choices.trial_settings(name)
        assert len({run_key(setting) for setting in settings}) == len(settings) <= 6, name
        assert all(setting.sequence == "development" for setting in settings)
        assert len(family.epochs) == 1 or family.method == "joint"


def test_every_row_has_a_family_and_its_own_label():
    assert len({row.label for row in ROWS}) == len(ROWS)
    assert {row.family for row in ROWS} == set(FAMILIES)


def test_the_best_trial_is_chosen_and_all_are_kept(make_result, tmp_path, monkeypatch):
    monkeypatch.setattr(trial_choices, "TRIALS_FILE", tmp_path / "trials.jsonl")
    monkeypatch.setattr(trial_choices, "read_choices", lambda: trial_choices.Choices())
    settings = trial_choices.trial_settings("derpp")
    for right, setting in zip((5, 9, 30, 7, 1, 2), settings, strict=True):
        write_result(make_result(setting, right), trial_choices.TRIALS_FILE)
    choices = trial_choices.choose_settings(["derpp", "lwf"])
    assert set(choices.families) == {"derpp"}  # there are no trials of lwf
    assert choices.families["derpp"].chosen.options == settings[2].options
    assert len(choices.families["derpp"].trials) == 6

    path = tmp_path / "chosen.json"
    trial_choices.write_choices(choices, path)
    row = next(row for row in ROWS if row.label == "DER++ 500")
    monkeypatch.undo()
    setting = trial_choices.setting_of(row, "site", seed=2, order=1, current_choices=trial_choices.read_choices(path))
    assert setting.options == {**settings[2].options, "buffer": 500}
    assert (setting.seed, setting.order) == (2, 1)
