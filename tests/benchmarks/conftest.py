import random
from collections.abc import Callable

import pytest

from benchmarks.scoreboard.measure import Saliency
from benchmarks.scoreboard.result import RunResult, RunSetting

Make = Callable[..., RunResult]


@pytest.fixture(scope="session")
def make_result() -> Make:
    """Returns results by hand: two sites, 20 patients of two images each, ``right`` of the first site's 40 known."""

    def result(setting: RunSetting, right: int, iou: float = 0.5, learning: float = 0.9) -> RunResult:
        order = random.Random(setting.seed).sample(range(40), 40)
        hits = [sum(rank < right for rank in order[2 * p : 2 * p + 2]) for p in range(20)]
        all_right = [2] * 20
        first = {"images": tuple(all_right), "class": tuple(hits), "task": tuple(hits)}
        second = {"images": tuple(all_right), "class": tuple(all_right), "task": tuple(all_right)}
        scores = ((learning, None), (right / 40, 1.0))
        overlap = {"IoU": iou, "SSIM": iou, "Cosine": iou, "Spearman": iou}
        return RunResult(
            setting=setting,
            command="python -m benchmarks.scoreboard run",
            code="sha256:0",
            environment={"torch": "2"},
            sites=("a", "b"),
            classes=(("x", "y"), ("z", "w")),
            network={},
            training={},
            seconds=(1.0, 2.0),
            state_bytes=(1000, 2000),
            peak_memory=1,
            class_incremental=scores,
            task_incremental=scores,
            site_inference=scores,
            patients={"a": first, "b": second},
            saliency={"a": Saliency(overlap, overlap, focus={}, images=40, pixels=64)},
            maps={},
            losses=({}, {}),
        )

    return result
