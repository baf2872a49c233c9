"""A site that grows: is it learned as well in several updates as at once, and are corrected labels followed?

Real chest X-rays (``cxr_kermany``), 480 training images. A site's data is cumulative: each update brings all that the
site has so far, as the ingest does. Some rows learn lung CT (``ct_lung_iqoth``) first, so that the penalty of another
site acts. Means over two seeds. ``python -m benchmarks growth``.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from anamnesis.evaluation.metrics import area_metric
from anamnesis.methods import Method, PredictionRequest, TaskContext, build_method
from anamnesis.records import (
    Configuration,
    NetworkSettings,
    Split,
    TrainingSettings,
    find_class_indices,
    label_space,
)
from anamnesis.training import RandomStreams, SplitData, precision_for, train
from benchmarks.scoreboard.learning import split_of
from benchmarks.scoreboard.sites import BenchmarkSite, Cases, HeldOut, SiteEntry, data_folder, read_site

SIZE, IMAGES, SEEDS = 32, 480, (0, 1)
NETWORK = NetworkSettings(size=(SIZE, SIZE), options={"width": 16, "norm": "group"})
TRAINING = TrainingSettings(epochs=6, batch_size=16)
SHARED = {"visual_prototypes": {"sharing": "shared"}}
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    "ewc_prototype": ("ewc_prototype", {}),
    "ewc_prototype, shared prototypes": ("ewc_prototype", SHARED),
    "frozen_ridge, random features": ("frozen_ridge", {"features": "random"}),
}
CHEST = SiteEntry("cxr_kermany", "chest-xray", ("normal", "pneumonia"))
LUNG = SiteEntry("ct_lung_iqoth", "lung-ct", ("normal", "malignant"))


@dataclass(frozen=True, slots=True)
class Case:
    """What a row measures.

    Attributes:
        method: name of the method, in ``METHODS``.
        updates: in which the site grows to all its images, by equal steps from the first quarter on.
        after_lung: whether lung CT is learned first.
        swapped: whether the labels are swapped in all updates but the last.
    """

    method: str
    updates: int = 6
    after_lung: bool = False
    swapped: bool = False

    def configuration(self, seed: int) -> Configuration:
        """Returns the configuration of its updates."""
        name, options = METHODS[self.method]
        return Configuration(name, options, NETWORK, replace(TRAINING, seed=seed))


CASES = (
    *(Case(method) for method in METHODS),
    Case("ewc_prototype", updates=10),
    Case("ewc_prototype", after_lung=True),
    *(Case(method, updates=2, swapped=True) for method in METHODS),
)


def run() -> list[dict[str, object]]:
    """Returns a row for each case."""
    torch.set_num_threads(1)
    folder = data_folder()
    chest, lung = (read_site(folder, entry, HeldOut.TEST, SIZE, cap=IMAGES) for entry in (CHEST, LUNG))
    return [measure(case, chest, lung) for case in CASES]


def measure(case: Case, chest: BenchmarkSite, lung: BenchmarkSite) -> dict[str, object]:
    """Returns the row of a case: the AUROC after growing, and after one update with all images and right labels."""
    start = time.perf_counter()
    first = (lung,) if case.after_lung else ()
    at_once = [auroc_at_once(replace(case, updates=1, swapped=False), seed, (*first, chest)) for seed in SEEDS]
    grown = [final_auroc(learn((*first, *growing(chest, case)), case.configuration(seed)), chest) for seed in SEEDS]
    return {
        "method": case.method,
        "updates": case.updates,
        "after lung CT": "yes" if case.after_lung else "",
        "labels": "swapped, then put right" if case.swapped else "right",
        "AUROC at once": statistics.mean(at_once),
        "AUROC after the last update": statistics.mean(grown),
        "difference in points": 100 * (statistics.mean(grown) - statistics.mean(at_once)),
        "largest loss of a seed": 100 * max(once - several for once, several in zip(at_once, grown, strict=True)),
        "seconds": round(time.perf_counter() - start, 1),
    }


_AUROC_AT_ONCE: dict[tuple[Case, int], float] = {}


def auroc_at_once(case: Case, seed: int, sites: Sequence[BenchmarkSite]) -> float:
    """Returns the AUROC on the last of ``sites`` after one update of each; several rows share it."""
    if (case, seed) not in _AUROC_AT_ONCE:
        _AUROC_AT_ONCE[case, seed] = final_auroc(learn(sites, case.configuration(seed)), sites[-1])
    return _AUROC_AT_ONCE[case, seed]


def growing(site: BenchmarkSite, case: Case) -> Iterator[BenchmarkSite]:
    """Yields the site as it is at each update."""
    total, first = len(site.train.labels), len(site.train.labels) // 4
    for update in range(1, case.updates + 1):
        is_last = update == case.updates
        count = total if case.swapped else first + (total - first) * (update - 1) // (case.updates - 1)
        cases = site.train[torch.arange(count)]
        yield replace(site, train=swap_labels(cases) if case.swapped and not is_last else cases)


def swap_labels(cases: Cases) -> Cases:
    """Returns cases of two classes with the other label."""
    return replace(cases, labels=1 - cases.labels)


def learn(updates: Sequence[BenchmarkSite], configuration: Configuration) -> Method[object]:
    """Returns the method after the updates; each starts from the state that the one before it stored."""
    state, visits = None, list[BenchmarkSite]()
    for site in updates:
        method = build_method(configuration)
        if state is not None:
            method.load_state_dict(state, len(label_space(visit.task for visit in visits)))
        visits.append(site)
        labels = label_space(visit.task for visit in visits)
        context = TaskContext(
            task=site.task,
            site=site.name,
            labels=labels,
            class_indices=find_class_indices(site.task, labels),
            other_sites={
                visit.name: find_class_indices(visit.task, labels) for visit in visits if visit.name != site.name
            },
            is_returning=site.name in {visit.name for visit in visits[:-1]},
            settings=configuration.training,
            streams=RandomStreams(configuration.training.seed, f"{site.name}/{len(visits)}"),
        )
        precision = precision_for(configuration, "cpu")
        split = split_of(site, site.train, labels)
        train(
            method,
            context,
            SplitData({Split.TRAIN: split}, configuration.training, context.streams, precision),
            precision,
        )
        state = method.state_dict()
    return method


def final_auroc(method: Method[object], site: BenchmarkSite) -> float:
    """Returns the AUROC on the held-out images, within the site's task, whose columns are the last ones."""
    class_count = method.network.head.classes
    columns = (class_count - 2, class_count - 1)
    logits = method.predict(site.held_out.images.float(), PredictionRequest(columns)).logits
    assert logits is not None
    scores = (logits[:, columns[1]] - logits[:, columns[0]])[None]
    return float(area_metric(scores, (site.held_out.labels == 1)[None], site.held_out.groups).value)
