"""Where the time of our training loop goes: fine-tuning on one site of 64-pixel images, by kind of operation.

``python -m benchmarks loop_profile`` needs the images (``ANAMNESIS_DATA``).
"""

import re
import time
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from anamnesis.records import Configuration, NetworkSettings, TrainingSettings
from benchmarks.scoreboard.learning import learn
from benchmarks.scoreboard.sequences import load_sequence
from benchmarks.scoreboard.sites import BenchmarkSite

SIZE, IMAGES = 64, 400
KINDS: Mapping[str, str] = {
    "convolutions forward": r"mkldnn_convolution$",
    "convolutions backward": r"^aten::convolution_backward",
    "norms forward": r"native_(batch|group)_norm$",
    "norms backward": r"native_(batch|group)_norm_backward$",
    "optimiser": r"adam|Optimizer",
}
"""By name: a pattern of the operations."""
OTHER_OPERATIONS, REST = "other operations", "rest of the loop"


def run() -> list[dict[str, object]]:
    """Returns the shares of the seconds of the loop for both norms of the small network."""
    torch.set_num_threads(1)
    site = load_sequence("development", images=IMAGES, size=SIZE)[:1]
    return [{"norm": norm, **_shares(norm, site)} for norm in ("batch", "group")]


def _shares(norm: str, site: tuple[BenchmarkSite, ...]) -> dict[str, float]:
    network = NetworkSettings(channels=1, size=(SIZE, SIZE), options={"norm": norm})
    settings = TrainingSettings(epochs=2, augment=True, precision="float32")
    configuration = Configuration("finetune", {}, network, settings)
    list(learn(site, configuration))  # warms up
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        list(learn(site, configuration))
        seconds = time.perf_counter() - start
    shares: dict[str, float] = defaultdict(float, dict.fromkeys((*KINDS, OTHER_OPERATIONS), 0.0))
    for event in profiler.key_averages():
        kind = next((kind for kind, pattern in KINDS.items() if re.search(pattern, event.key)), OTHER_OPERATIONS)
        shares[kind] += event.self_cpu_time_total / 1e6 / seconds
    return {**shares, REST: 1 - sum(shares.values())}
