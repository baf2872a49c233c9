"""Student's t distribution. Standard library only: the operator's image has no numerical library."""

import math
from functools import lru_cache

_ITERATIONS, _TOLERANCE, _TINY = 300, 1e-14, 1e-300
_LARGEST = 1e4


def t_tail(value: float, degrees: float) -> float:
    """Returns P(T > value) for T with ``degrees`` degrees of freedom.

    Source: the incomplete beta function of Abramowitz and Stegun (1964), 26.5.27 and 26.7.1.
    """
    half = incomplete_beta(degrees / (degrees + value * value), degrees / 2, 0.5) / 2
    return half if value >= 0 else 1 - half


@lru_cache(maxsize=4096)
def t_quantile(probability: float, degrees: float) -> float:
    """Returns the value that T exceeds with 1 - ``probability``, by bisection.

    Args:
        probability: above 0.5 and below 1.
        degrees: of freedom, 1 or more.
    """
    low, high = 0.0, _LARGEST
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, degrees) > 1 - probability else (low, middle)
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Returns the regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Returns 1 + d1 / (1 + d2 / (1 + ...)), by the method of Lentz."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, _ITERATIONS):
        m, is_odd = divmod(step, 2)
        if is_odd:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + term * d) or _TINY)
        c = (1 + term / c) or _TINY
        value *= c * d
        if abs(c * d - 1) < _TOLERANCE:
            break
    return value
