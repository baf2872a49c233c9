"""Which images get no answer, and which are answered for another organ: real public sites at 64 pixels, one left out.

The statistics of each site come from its training patients. The limit of its distance comes from a fifth of them who
are held out, and everything is measured on its test images. The network does not matter: the site that an image is most
like decides whose classes answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import torch
from torch import Tensor

from anamnesis.methods import build_method
from anamnesis.records import (
    Configuration,
    HeldOutSet,
    NetworkSettings,
    OperatingPoint,
    find_class_indices,
    label_space,
)
from anamnesis.updates.answers import CaseAnswers, CaseOutputs, answer
from anamnesis.updates.model import Experience, LoadedModel, VersionDescription
from anamnesis.updates.site_features import LIMIT_SHARE, SiteFeatures, fit_distance_limit
from benchmarks.scoreboard.sites import (
    MAXIMUM_TRAINING_IMAGES,
    BenchmarkSite,
    Cases,
    HeldOut,
    SiteEntry,
    data_folder,
    read_site,
)

SITES = (
    SiteEntry("cxr_kermany", "pneumonia", ("normal", "pneumonia")),
    SiteEntry("cxr_nih", "pneumonia", ("normal", "pneumonia")),
    SiteEntry("ct_lung_iqoth", "lung-cancer", ("normal", "malignant")),
    SiteEntry("mri_brain_tumour", "brain-tumour", ("glioma", "meningioma", "pituitary")),
    SiteEntry("micro_bloodcell_bccd", "blood-cell", ("RBC", "WBC", "Platelets")),
    SiteEntry("seg_nuclei_dsb2018", "staining", ("fluorescence", "histology_purple")),
    SiteEntry("sts_ct", "sarcoma", ("no_tumour", "tumour")),
    SiteEntry("sts_mr", "sarcoma", ("no_tumour", "tumour")),
    SiteEntry("sts_pet", "sarcoma", ("no_tumour", "tumour")),
)
SIZE = 64
LIMIT_PATIENTS = 5
"""One of so many training patients is held out for the limit."""


def run(
    entries: Sequence[SiteEntry] = SITES, held_out: HeldOut = HeldOut.TEST, cap: int = MAXIMUM_TRAINING_IMAGES
) -> list[dict[str, object]]:
    """Returns one row per site, and their mean; each site has at most ``cap`` training images."""
    sites = [read_site(data_folder(), entry, held_out, SIZE, cap) for entry in entries]
    measured = _MeasuredSites.of(sites)
    rows = [measured.row(site) for site in sites]
    numbers = [name for name in rows[0] if name not in ("site", "test images")]
    mean = {name: round(sum(float(str(row[name])) for row in rows) / len(rows), 4) for name in numbers}
    return [*rows, {"site": "mean", "test images": sum(len(site.held_out.labels) for site in sites), **mean}]


@dataclass(frozen=True, slots=True)
class _MeasuredSites:
    """All sites.

    Attributes:
        sites: in the order of the rows.
        features: statistics of all sites.
        test_features: site -> features of its test images.
        points: site -> operating point, the limit from held-out training patients.
        exact_points: the same, the limit so that 5 % of the site's test images are beyond it.
    """

    sites: Sequence[BenchmarkSite]
    features: SiteFeatures
    test_features: Mapping[str, Tensor]
    points: Mapping[str, OperatingPoint]
    exact_points: Mapping[str, OperatingPoint]

    @classmethod
    def of(cls, sites: Sequence[BenchmarkSite]) -> "_MeasuredSites":
        """Learns the statistics of the sites and their limits."""
        features, points, exact_points, test_features = SiteFeatures(1), {}, {}, {}
        for site in sites:
            is_held_out = site.train.groups % LIMIT_PATIENTS == 0
            train, limit_cases = (site.train[torch.nonzero(rows)[:, 0]] for rows in (~is_held_out, is_held_out))
            features = features.learn(site.name, train.images, _patients(train))
            test_features[site.name] = features.describe(site.held_out.images)
            column = features.sites.index(site.name)
            distances = features.compare(features.describe(limit_cases.images)).distances[:, column]
            points[site.name] = _make_point(site, fit_distance_limit(distances, _patients(limit_cases)))
            test_distances = features.compare(test_features[site.name]).distances[:, column]
            exact_points[site.name] = _make_point(site, Decimal(f"{float(test_distances.quantile(LIMIT_SHARE)):.6f}"))
        return cls(sites, features, test_features, points, exact_points)

    def row(self, site: BenchmarkSite) -> dict[str, object]:
        """Returns the shares of a site's test images, with it among the learned sites and without."""
        other_sites = [other for other in self.sites if other.name != site.name]
        with_site, without_site = (self._answer(self.sites, site, self.points, names) for names in ([site.name], []))
        foreign, exact_foreign = (
            self._answer(other_sites, site, points, []) for points in (self.points, self.exact_points)
        )
        return {
            "site": site.name,
            "test images": len(site.held_out.labels),
            "abstained, site known": _share(with_site.is_abstained),
            "abstained": _share(without_site.is_abstained),
            "other organ, site known": _share(self._is_other_organ(with_site, site)),
            "other organ": _share(self._is_other_organ(without_site, site)),
            "abstained, site not learned": _share(foreign.is_abstained),
            "abstained, site not learned, at 5 %": _share(exact_foreign.is_abstained),
        }

    def _answer(
        self,
        learned: Sequence[BenchmarkSite],
        site: BenchmarkSite,
        points: Mapping[str, OperatingPoint],
        names: Sequence[str],
    ) -> CaseAnswers:
        """Returns the answers of a version that has learned some sites to the test images of a site."""
        statistics = {other.name: self.features.statistics[other.name] for other in learned}
        model = _make_model(learned, SiteFeatures(1, statistics))
        comparison = model.site_features.compare(self.test_features[site.name])
        logits = torch.zeros(len(site.held_out.labels), len(model.description.labels))
        return answer(model, CaseOutputs(logits, comparison.log_probs, comparison.distances), points, names)

    def _is_other_organ(self, answers: CaseAnswers, site: BenchmarkSite) -> Tensor:
        """Returns [N], whether an image is answered with the classes of another task than its site's."""
        labels = label_space(other.task for other in self.sites)
        columns = torch.tensor(find_class_indices(site.task, labels))
        return ~answers.is_abstained & ~torch.isin(answers.columns, columns)


def _make_model(sites: Sequence[BenchmarkSite], features: SiteFeatures) -> LoadedModel:
    configuration = Configuration("finetune", {}, NetworkSettings(size=(SIZE, SIZE), options={"norm": "group"}))
    description = VersionDescription(configuration, tuple(Experience(site.name, site.task) for site in sites))
    method = build_method(configuration)
    method.resize_head(len(description.labels))
    return LoadedModel(method, description, features)


def _make_point(site: BenchmarkSite, limit: Decimal) -> OperatingPoint:
    return OperatingPoint(
        site.name, site.task.name, HeldOutSet.VALIDATION, 0, 0, temperature=Decimal(1), distance_limit=limit
    )


def _patients(cases: Cases) -> list[str]:
    return [str(group) for group in cases.groups.tolist()]


def _share(values: Tensor) -> float:
    return round(float(values.double().mean()), 4)
