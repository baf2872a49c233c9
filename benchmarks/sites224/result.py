"""The result of a run: what each of its answers said about each held-out image, and its maps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean

from benchmarks.sites224.measure import Scores, SiteAnswers
from benchmarks.sites224.setting import SequenceSetting


@dataclass(frozen=True, slots=True)
class AnswerResult:
    """The measurements of one answer. Rows of a table are updates, its columns the sites in the order learned.

    Attributes:
        class_incremental: balanced accuracies where all classes seen so far compete.
        task_incremental: balanced accuracies where only the site's own classes compete.
        images: by site, the answers after the last update to each held-out image.
        iou: by earlier site, the retained IoU of each probe.
        energy_own: by site with contours, the energy in the contour of each probe that has one, after its own update.
        energy_last: the same after the last update.
        faithful: by site, whether the maps after the last update are faithful; empty where it was not measured.
    """

    class_incremental: Scores
    task_incremental: Scores
    images: Mapping[str, SiteAnswers]
    iou: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    energy_own: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    energy_last: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    faithful: Mapping[str, bool] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean over the sites, after the last update, where the site's own classes compete."""
        return mean(score for score in self.task_incremental[-1] if score is not None)

    @property
    def class_accuracy(self) -> float:
        """The same where all classes compete."""
        return mean(score for score in self.class_incremental[-1] if score is not None)

    @property
    def site_accuracy(self) -> float:
        """Mean over the sites of the share of images whose winner among all classes is one of the site's own."""
        return mean(mean(answers.site_right) for answers in self.images.values())

    @property
    def forgetting(self) -> float | None:
        """Mean over the earlier sites of the accuracy when learned minus that at the end; none for one update."""
        last, table = len(self.task_incremental) - 1, self.task_incremental
        losses = [(table[site][site], table[-1][site]) for site in range(last)]
        return mean(own - now for own, now in losses if own is not None and now is not None) if losses else None


@dataclass(frozen=True, slots=True)
class SequenceRun:
    """A run.

    Attributes:
        setting: its setting.
        command: repeats it.
        code: digest of the source of the method and of what it is built from.
        environment: versions and machine.
        sites: in the order learned.
        seconds: of learning, by update.
        state_bytes: size of the state that the next update starts from, by update.
        patients: by site, number of the patient of each held-out image.
        labels: by site, the class of each held-out image in the site's task.
        probes: by site, rows of the held-out images that are explained.
        answers: by name.
    """

    setting: SequenceSetting
    command: str
    code: str
    environment: Mapping[str, str]
    sites: tuple[str, ...]
    seconds: tuple[float, ...]
    state_bytes: tuple[int, ...]
    patients: Mapping[str, tuple[int, ...]]
    labels: Mapping[str, tuple[int, ...]]
    probes: Mapping[str, tuple[int, ...]]
    answers: Mapping[str, AnswerResult]
