from decimal import Decimal

import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.class_recall import class_recalls, hidden_classes

COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 40), min_size=2)


def test_recall_is_the_share_of_a_class_that_is_recognised() -> None:
    targets = torch.tensor([0] * 20 + [1] * 10)
    answers = torch.tensor([0] * 15 + [1] * 15)  # 15 of 20 of the first class, all of the second
    patients = [f"p{row}" for row in range(30)]
    recalls = class_recalls(answers, targets, [0, 1], classes=["normal", "ill"], patients=patients)
    assert {name: (metric.value, metric.n) for name, metric in recalls.items()} == {
        "Recall/normal": (Decimal("0.750000"), 20),
        "Recall/ill": (Decimal("1.000000"), 10),
        "Precision/normal": (Decimal("1.000000"), 15),
        "Precision/ill": (Decimal("0.666667"), 15),
    }
    assert all(metric.low is not None and metric.low <= metric.value for metric in recalls.values())


def test_patients_are_counted_and_not_their_images() -> None:
    targets = torch.tensor([0] * 30 + [1] * 30)
    patients = [f"p{row}" for row in range(30)] + ["p1", "p2", "p3"] * 10  # 30 images of 3 patients
    assert class_recalls(torch.zeros(60), targets, [0, 1], classes=["a", "b"], patients=patients) == {}


@given(COUNTS)
def test_no_small_class_is_shown_and_none_can_be_computed_from_the_total(counts: dict[str, int]) -> None:
    hidden = hidden_classes(counts)
    assert {name for name, patients in counts.items() if patients < 10} <= hidden
    if hidden:
        rest = sum(counts[name] for name in hidden)  # what the total minus the shown classes gives
        assert len(hidden) >= 2
        assert rest >= 10 or hidden == set(counts)


@given(COUNTS)
def test_nothing_is_hidden_without_a_small_class(counts: dict[str, int]) -> None:
    assert bool(hidden_classes(counts)) == (min(counts.values()) < 10)
