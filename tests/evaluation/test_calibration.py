import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anamnesis.evaluation.calibration import calibration_error, fit_temperature


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


@settings(max_examples=30, deadline=None)
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


def test_the_calibration_error_falls_with_the_fitted_temperature():
    logits, targets = _overconfident(8000, 3.0)
    temperature = fit_temperature(logits[:4000], targets[:4000])
    before, after = (calibration_error((logits[4000:] / t).softmax(1), targets[4000:]) for t in (1.0, temperature))
    assert before > 0.1
    assert after < 0.03


def test_the_calibration_error_of_known_cases():
    probabilities = torch.tensor([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 2)
    targets = torch.tensor([0, 0, 0, 1, 1, 0])
    assert calibration_error(probabilities, targets) == pytest.approx(4 / 6 * 0.15 + 2 / 6 * 0.1)
