"""The learning rate of each step, as a factor on the peak rate."""

import math

from anamnesis.methods.stage import RateSchedule

WARM_UP_SHARE = 0.05
FINAL_RATE_SHARE = 0.02


def learning_rate_factor(schedule: RateSchedule, step_index: int, total_steps: int) -> float:
    """Returns the factor on the peak learning rate at a step, counted from 0: a linear warm-up, then the schedule."""
    warm_up_steps = max(1, round(WARM_UP_SHARE * total_steps))
    if step_index < warm_up_steps:
        return (step_index + 1) / warm_up_steps
    share = (step_index - warm_up_steps) / max(total_steps - warm_up_steps, 1)
    return FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * _decay(schedule, share)


def _decay(schedule: RateSchedule, share: float) -> float:
    """Returns the height of the schedule, from 1 at share 0, before the final rate."""
    if schedule is RateSchedule.COSINE:
        return 0.5 * (1 + math.cos(math.pi * share))
    return 1 - share if schedule is RateSchedule.LINEAR else 1.0
