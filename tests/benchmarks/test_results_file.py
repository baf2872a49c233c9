"""One JSON-lines file a sequence: sorted by key, replaced in one step, safe for several writers."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from anamnesis.records import InputError
from benchmarks.scoreboard.options import flatten_options, nest_options
from benchmarks.scoreboard.result import RunSetting
from benchmarks.scoreboard.results_file import read_results, write_result
from benchmarks.scoreboard.run import command
from benchmarks.scoreboard.summary import run_key


def settings_of(*seeds):
    return [
        RunSetting("phantom", "finetune", options={"competing": "task"}, row="fine-tune", seed=seed) for seed in seeds
    ]


def test_results_are_sorted_by_key_one_a_line(make_result, tmp_path):
    path = tmp_path / "runs" / "phantom.jsonl"
    results = [make_result(setting, 20) for setting in settings_of(2, 0, 1)]
    for result in results:
        write_result(result, path)
    lines = path.read_text().splitlines()
    assert [json.loads(line)["setting"]["seed"] for line in lines] == [0, 1, 2]
    assert read_results(path) == {run_key(result.setting): result for result in results}
    assert [file.name for file in path.parent.iterdir()] == ["phantom.jsonl"]


def test_the_same_key_replaces_its_line_and_no_other(make_result, tmp_path):
    path = tmp_path / "phantom.jsonl"
    first_setting, second_setting = settings_of(0, 1)
    write_result(make_result(first_setting, 20), path)
    write_result(make_result(second_setting, 20), path)
    second_line = path.read_text().splitlines()[1]
    write_result(replace(make_result(first_setting, 20), peak_memory=7), path)
    lines = path.read_text().splitlines()
    assert (len(lines), lines[1]) == (2, second_line)
    assert json.loads(lines[0])["peak_memory"] == 7


def test_several_writers_lose_nothing(make_result, tmp_path):
    path = tmp_path / "phantom.jsonl"
    results = [make_result(setting, 20) for setting in settings_of(*range(12))]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda result: write_result(result, path), results))
    assert len(read_results(path)) == 12


def test_a_missing_file_has_no_results_and_a_bad_line_is_named(tmp_path):
    path = tmp_path / "phantom.jsonl"
    assert read_results(path) == {}
    path.write_text('{"setting": 3}\n')
    with pytest.raises(InputError, match=r"phantom\.jsonl:1\.setting"):
        read_results(path)


def test_options_by_path_and_in_groups_are_the_same():
    flat = {"consolidation.penalty": 3e3, "fisher.kind": "exact", "fisher.images": 7, "buffer": 200}
    nested = {"consolidation": {"penalty": 3e3}, "fisher": {"kind": "exact", "images": 7}, "buffer": 200}
    assert nest_options(flat) == nested
    assert flatten_options(nested) == flat
    setting = RunSetting("phantom", "ewc_prototype", nested)
    assert "--option consolidation.penalty=3000.0 --option fisher.kind=exact" in command(setting)
