"""The score test of a drop of a share, from the shares that only one of two versions answers right."""

import math
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()
_SMALLEST_SHARE = 1e-9
_NEAR_MEAN = 1e-3


@dataclass(frozen=True, slots=True)
class ShareDrop:
    """Answers of a reference and of a version on the same independent patients.

    Attributes:
        losses: share that only the reference answers right.
        gains: share that only the version answers right.
        patients: number of independent patients, also a fraction of one.
    """

    losses: float
    gains: float
    patients: float

    def chance_of_less(self, drop: float) -> float:
        """Returns how probable a drop as small as the observed one is, if the true one is ``drop``.

        Each patient is a loss, a gain or neither. The share of gains is the most likely one at this drop (the
        restricted estimate of Tango, Stat. Med. 17 (1998) 891). The tail of the sum is the saddlepoint approximation
        with the second continuity correction of Daniels (Int. Stat. Rev. 55 (1987) 37), which also holds where few
        answers or none have changed, and the normal distribution does not.
        """
        return _tail(self.losses - self.gains, self._likely_gains(drop), drop, self.patients)

    def _likely_gains(self, drop: float) -> float:
        changed = (self.losses + self.gains) * (1 - drop) - 2 * (1 - self.losses) * drop
        return (changed + math.sqrt(max(changed**2 + 8 * self.gains * drop * (1 - drop), 0.0))) / 4


def _tail(difference: float, gains: float, drop: float, n: float) -> float:
    """Returns P(losses - gains <= n ``difference``) among n patients, where losses have the share gains + drop."""
    up = min(max(gains + drop, _SMALLEST_SHARE), 1 - 2 * _SMALLEST_SHARE)
    down = min(max(gains, _SMALLEST_SHARE), 1 - up - _SMALLEST_SHARE)
    same = 1 - up - down
    x = difference + 0.5 / n  # the sum is a whole number: the tail ends half a step above it
    if x >= 1:
        return 1.0
    mean, variance = up - down, up + down - (up - down) ** 2
    if abs(x - mean) < _NEAR_MEAN * math.sqrt(variance / n):  # the limit of the formula below
        third_cumulant = mean - 3 * mean * (up + down) + 2 * mean**3
        return 0.5 + third_cumulant / (6 * math.sqrt(2 * math.pi * n * variance) * variance)
    # the exponent s of the saddlepoint: up e^s - down e^-s = x (up e^s + same + down e^-s)
    growth = (x * same + math.sqrt((x * same) ** 2 + 4 * up * down * (1 - x**2))) / (2 * up * (1 - x))
    total = up * growth + same + down / growth
    s = math.log(growth)
    curvature = (up * growth + down / growth) / total - x**2
    w = math.copysign(math.sqrt(max(2 * n * (s * x - math.log(total)), 0.0)), s)
    u = 2 * math.sinh(s / 2) * math.sqrt(n * curvature)
    return min(max(_NORMAL.cdf(w) + _NORMAL.pdf(w) * (1 / w - 1 / u), 0.0), 1.0)
