"""Tables and curves of an evaluation: right numbers, and none about fewer than 10 patients."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.details import evaluation_details
from anamnesis.evaluation.disclosure import enough_patients_bins, masked_cells, patient_numbers
from anamnesis.evaluation.metrics import area_metric
from anamnesis.records import EvaluationDetails

CLASSES = ("a", "b", "c")


def details_of(counts: list[list[int]], images_per_patient: int = 1, sex: str = "MF") -> EvaluationDetails:
    """Returns the details of a test set with this confusion matrix of images; each patient has one kind of answer."""
    size = len(counts)
    pairs = [(i, j) for i, j in itertools.product(range(size), repeat=2) for _ in range(counts[i][j])]
    targets, answered = (torch.tensor(column) for column in zip(*pairs, strict=True))
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(pairs), size, generator=generator, dtype=torch.float64)
    logits[torch.arange(len(pairs)), answered] += 4
    patients = [f"{pair}/{number // images_per_patient}" for number, pair in enumerate(pairs)]
    attributes = [{"Sex": sex[number % len(sex)]} for number in range(len(pairs))]
    return evaluation_details(logits.softmax(1), targets, answered, CLASSES[:size], patients, attributes)


def test_a_matrix_of_large_cells_is_whole() -> None:
    counts = [[88, 14, 21], [18, 106, 17], [12, 17, 107]]
    assert details_of(counts).confusion == tuple(map(tuple, counts))


def test_of_three_classes_the_kind_of_mistake_is_masked_and_the_recall_stays() -> None:
    confusion = details_of([[80, 3, 30], [20, 80, 20], [30, 30, 80]]).confusion
    assert [confusion[i][i] for i in range(3)] == [80, 80, 80]
    # with the totals of rows and columns and the diagonal, one more number would give all six
    assert {confusion[i][j] for i in range(3) for j in range(3) if i != j} == {None}


def test_of_two_classes_a_small_cell_masks_all() -> None:
    assert details_of([[80, 3], [20, 60]]).confusion == ((None, None), (None, None))


def test_images_of_one_patient_are_one_patient() -> None:
    assert details_of([[80, 36], [40, 80]], images_per_patient=4).confusion == ((None, None), (None, None))
    assert details_of([[80, 44], [40, 80]], images_per_patient=4).confusion == ((80, 44), (40, 80))


@given(st.integers(2, 5), st.integers(2, 5), st.data())
def test_no_masked_cell_follows_from_the_totals(rows: int, columns: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.integers(0, 40), min_size=rows * columns, max_size=rows * columns))
    patients = torch.tensor(cells).view(rows, columns)
    hidden_rows = torch.tensor(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    masked = masked_cells(patients, hidden_rows)
    assert not (~masked & (patients < 10)).any()
    assert bool(masked[hidden_rows].all())
    if not masked.any():
        return
    for line in (*masked.T.unbind(), *masked.unbind()):
        assert int(line.sum()) != 1
    for row, column in masked.nonzero().tolist():
        assert is_on_a_cycle(masked, row, column), masked


def is_on_a_cycle(masked: torch.Tensor, row: int, column: int) -> bool:
    """Whether the cell can grow while others shrink and grow: its row reaches its column through other cells."""
    reached_rows, reached_columns = {row}, set()
    for _ in range(masked.numel()):
        reached_columns |= {c for r, c in masked.nonzero().tolist() if r in reached_rows and (r, c) != (row, column)}
        reached_rows |= {r for r, c in masked.nonzero().tolist() if c in reached_columns and (r, c) != (row, column)}
    return column in reached_columns


def test_a_class_of_few_patients_has_no_row_and_no_curve() -> None:
    details = details_of([[80, 30, 30], [30, 70, 30], [2, 2, 4]])
    assert details.confusion[2] == (None, None, None)
    assert "c" not in details.roc
    assert "b" not in details.roc  # its number would follow from the total


def test_the_points_of_a_curve_have_the_area_under_it() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(200) % 2
    scores = torch.rand(200, generator=generator, dtype=torch.float64) * 0.7 + targets * 0.3
    probabilities = torch.stack([1 - scores, scores], 1)
    patients = [f"p{number}" for number in range(200)]
    points = evaluation_details(probabilities, targets, targets, ("no", "yes"), patients, [{}] * 200).roc["yes"]
    assert len(points) == 10  # 100 patients of the other class
    area = float(sum(point.sensitivity for point in points)) / len(points)
    assert area == pytest.approx(
        float(area_metric(scores[None], (targets == 1)[None], torch.arange(len(scores))).value), abs=0.005
    )
    assert sorted(points, key=lambda point: point.sensitivity) == list(points)


def test_bins_have_equal_numbers_of_cases_and_enough_patients() -> None:
    scores = torch.rand(95, generator=torch.Generator().manual_seed(2))
    bins = enough_patients_bins(scores, torch.arange(95), maximum=10)
    assert bins is not None
    assert torch.bincount(bins).tolist() == [11, 11, 10, 11, 10, 11, 10, 11, 10]
    assert scores[bins == 0].max() < scores[bins == 1].min()
    assert enough_patients_bins(scores, torch.arange(95) // 11, maximum=10) is None


def test_a_reliability_bin_has_its_confidence_and_accuracy() -> None:
    probabilities = torch.tensor([[0.9, 0.1]] * 40 + [[0.4, 0.6]] * 40, dtype=torch.float64)
    targets = torch.tensor([0] * 36 + [1] * 4 + [1] * 20 + [0] * 20)
    patients = [f"p{number}" for number in range(80)]
    details = evaluation_details(probabilities, targets, probabilities.argmax(1), ("no", "yes"), patients, [{}] * 80)
    low, high = details.reliability[:4], details.reliability[4:]
    assert {float(reliability_bin.confidence) for reliability_bin in low} == {0.6}
    assert sum(reliability_bin.accuracy * reliability_bin.cases for reliability_bin in low) == 20
    assert {float(reliability_bin.confidence) for reliability_bin in high} == {0.9}
    assert sum(reliability_bin.accuracy * reliability_bin.cases for reliability_bin in high) == 36


def test_subgroups_have_enough_patients_and_none_follows_from_the_total() -> None:
    details = details_of([[60, 20], [20, 60]], sex="MF")
    assert [(group.value, group.patients) for group in details.subgroups] == [("F", 80), ("M", 80)]
    assert set(details.subgroups[0].metrics) == {"Accuracy", "AUROC", "Recall/a", "Recall/b"}
    assert details.subgroups[0].metrics["Accuracy"].value == 0.75
    rare = details_of([[60, 20], [20, 60]], sex="MF" * 12 + "O")
    assert rare.subgroups == ()  # O has 6 patients, so F or M would follow from the other one


def test_a_class_of_a_subgroup_with_few_patients_is_masked_in_others_too() -> None:
    targets = torch.tensor([0] * 100 + [1] * 100)
    sexes = ["M"] * 96 + ["F"] * 4 + ["M"] * 40 + ["F"] * 60
    patients = [f"p{number}" for number in range(200)]
    details = evaluation_details(
        torch.nn.functional.one_hot(targets).double(), targets, targets, ("no", "yes"), patients,
        [{"Sex": sex} for sex in sexes],
    )  # fmt: skip
    assert [set(group.metrics) for group in details.subgroups] == [{"Accuracy"}, {"Accuracy"}]


def test_patients_are_numbered_by_their_first_case() -> None:
    assert patient_numbers(["x", "y", "x", "z"]).tolist() == [0, 1, 0, 2]
