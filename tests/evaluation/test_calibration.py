import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anamnesis.evaluation.calibration import fit_temperature
from anamnesis.evaluation.calibration_metrics import calibration_metrics


def _overconfident(count: int, scale: float, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are ``scale`` times too large for targets drawn from their own softmax."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, classes, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * scale, targets


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_temperature_undoes_a_scale(scale, classes):
    logits, targets = _overconfident(20_000, scale, classes)
    assert fit_temperature(logits, targets) == pytest.approx(scale, rel=0.06)


@given(st.integers(2, 4), st.integers(5, 60), st.integers(0, 1000))
def test_no_other_temperature_has_a_lower_cross_entropy(classes, count, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=generator)
    targets = torch.randint(classes, (count,), generator=generator)

    def cross_entropy(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits.double() / temperature, targets))

    best = fit_temperature(logits, targets)
    assert 1 / 33 < best < 33
    assert all(cross_entropy(best) <= cross_entropy(other) + 1e-9 for other in torch.logspace(-1.5, 1.5, 31).tolist())


def test_an_excluded_class_changes_nothing():
    logits, targets = _overconfident(500, 2.0)
    wider = torch.cat([logits, torch.full((500, 1), -torch.inf)], 1)
    assert fit_temperature(wider, targets) == pytest.approx(fit_temperature(logits, targets))


@pytest.mark.parametrize("images", [1, 5])
def test_a_perfect_model_has_almost_no_calibration_error_and_a_slope_of_1(images):
    results = [_measure(seed, scale=1.0, images=images) for seed in range(60)]
    errors = torch.tensor([float(metrics["CalibrationError"].value) for metrics in results])
    slopes = torch.tensor([float(metrics["CalibrationSlope"].value) for metrics in results])
    assert errors.mean() < 0.04
    assert all(metrics["CalibrationError"].low == 0 for metrics in results[:20])
    assert slopes.mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("scale", "true_error"), [(2.0, 0.109), (0.6, 0.083)])
def test_the_error_and_slope_of_a_scaled_model_are_in_their_intervals(scale, true_error):
    results = [_measure(seed, scale, patients=200, images=3) for seed in range(100)]
    for name, truth in (("CalibrationError", true_error), ("CalibrationSlope", 1 / scale)):
        held = sum(float(metrics[name].low) <= truth <= float(metrics[name].high) for metrics in results)
        assert held >= 85, name
    errors = torch.tensor([float(metrics["CalibrationError"].value) for metrics in results])
    assert errors.mean() == pytest.approx(true_error, abs=0.012)


def test_the_order_of_the_cases_and_copies_of_images_change_nothing():
    logits, targets = _overconfident(150, 2.0)
    patients = [f"p{row}" for row in range(150)]
    once = calibration_metrics(logits, targets, patients)
    copied = calibration_metrics(logits.repeat(4, 1), targets.repeat(4), patients * 4)
    reversed_order = calibration_metrics(logits.flip(0), targets.flip(0), patients[::-1])
    for name, metric in once.items():
        assert float(copied[name].value) == pytest.approx(float(metric.value), abs=1e-5)
        assert float(copied[name].high) == pytest.approx(float(metric.high), abs=1e-5)
        assert reversed_order[name] == metric


def test_where_all_answers_are_right_there_is_no_slope():
    targets = torch.arange(60) % 2
    logits = torch.nn.functional.one_hot(targets, 2) * 3.0
    assert set(calibration_metrics(logits, targets, [f"p{row}" for row in range(60)])) == {"CalibrationError"}
    assert calibration_metrics(logits, targets, ["p"] * 60) == {}


def _measure(seed, scale, patients=100, images=1):
    """Scores of logits that are ``scale`` times too large; images of a patient share most of theirs."""
    generator = torch.Generator().manual_seed(seed)
    patient_index = torch.arange(patients).repeat_interleave(images)
    shared = 1.5 * torch.randn(patients, generator=generator)[patient_index]
    true_logits = (shared + 0.7 * torch.randn(len(patient_index), generator=generator)).double()
    targets = (torch.rand(len(patient_index), generator=generator) < true_logits.sigmoid()).long()
    logits = torch.stack([torch.zeros_like(true_logits), scale * true_logits], 1)
    return calibration_metrics(logits, targets, [f"p{patient}" for patient in patient_index.tolist()])
