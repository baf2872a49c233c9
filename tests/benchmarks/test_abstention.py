"""The claim of docs/evaluation.md on three public sites: no answer for another organ, and foreign images get none."""

from pathlib import Path

from benchmarks import abstention


def test_three_organs_are_not_confused_and_a_foreign_one_is_abstained(data_folder: Path) -> None:
    entries = [abstention.SITES[number] for number in (1, 2, 4)]
    *rows, _ = abstention.run(entries, cap=400)
    for row in rows:
        assert row["other organ, site known"] == 0
        assert float(str(row["other organ"])) <= 0.02
        assert float(str(row["abstained, site not learned"])) >= 0.9
    assert float(str(rows[0]["abstained"])) <= 0.1, "its limit comes from 80 patients"
