from dataclasses import replace
from decimal import Decimal

from anamnesis.records import Evaluation, Metric
from anamnesis.registry.small_test_sets import describe_small_classes


def _evaluation(site: str, class_patients: int | None) -> Evaluation:
    metrics = {"AUROC": Metric(Decimal("0.9"), 100)}
    key = ("sha256:version", site, f"task {site}", f"test of {site}")
    return Evaluation(*key, "evaluator", "forgetting", metrics, class_patients=class_patients)


def test_each_small_test_set_has_its_sentence() -> None:
    evaluations = [_evaluation("b", 29), _evaluation("a", 12), _evaluation("c", 30), _evaluation("d", None)]
    sentences = describe_small_classes(evaluations, 30)
    assert [sentence.split(", fewer")[0] for sentence in sentences] == [
        "a class of task task a at a has 12 test patients",
        "a class of task task b at b has 29 test patients",
    ]


def test_numbers_below_ten_are_hidden() -> None:
    (sentence,) = describe_small_classes([_evaluation("a", 9)], 30)
    assert "has less than 10 test patients" in sentence


def test_of_a_task_without_classes_all_patients_count() -> None:
    evaluation = replace(_evaluation("a", 12), patients=12)
    (sentence,) = describe_small_classes([evaluation], 30)
    assert sentence.startswith("task task a at a has 12 test patients, fewer than gate.minimumTestPatients 30")
