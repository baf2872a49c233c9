"""Statistics of frozen features, one set of sums for each site; classifiers are computed from their total."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from anamnesis.methods.base import StateDict
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.records import InputError


class SiteSums:
    """The sums of each site, and their total over all sites.

    A Gram matrix is symmetric: each site's is stored as its upper triangle, in half the bytes. The total does not
    depend on the order in which the sites were learned, bit for bit.

    Attributes:
        features: D, number of features.
    """

    def __init__(self, features: int) -> None:
        self.features = features
        self._triangles: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._patients: dict[str, Tensor] = {}
        self._total: FeatureStatistics | None = None

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that have sums, sorted."""
        return tuple(sorted(self._sums))

    @property
    def imported_sites(self) -> tuple[str, ...]:
        """The sites whose sums are empty, because their weights were imported and their images not learned yet."""
        return tuple(site for site, sums in sorted(self._sums.items()) if not sums[:, -1].any())

    @property
    def classes(self) -> int:
        """Number of classes."""
        return max((len(sums) for sums in self._sums.values()), default=0)

    @property
    def total(self) -> FeatureStatistics:
        """The sums over the images of all sites; read it, do not add to it."""
        if self._total is None:
            self._total = self._sum_sites()
        return self._total

    def replace(self, site: str, statistics: FeatureStatistics) -> None:
        """Puts the sums of ``site`` in the place of those that it had."""
        rows, columns = _triangle_indices(statistics.gram)
        self._triangles[site], self._sums[site] = statistics.gram[rows, columns], statistics.sums
        self._patients[site] = statistics.patients
        self._total = None

    def clear(self, site: str, classes: int, device: torch.device | str = "cpu") -> None:
        """Gives ``site`` empty sums of ``classes`` classes: what it had is about to be replaced."""
        self.replace(site, FeatureStatistics(self.features, classes, device))

    def forget(self, site: str, kept_columns: Sequence[int]) -> None:
        """Removes the sums of ``site``, and the rows of all classes except ``kept_columns``; exact.

        Args:
            site: that is removed; it need not have sums.
            kept_columns: columns of the logits that stay, in their new order.
        """
        for values in (self._triangles, self._sums, self._patients):
            values.pop(site, None)
        columns = torch.tensor(kept_columns, dtype=torch.long)
        self._sums = {name: sums[columns[columns < len(sums)].to(sums.device)] for name, sums in self._sums.items()}
        self._total = None

    def to(self, device: torch.device) -> None:
        """Moves the sums."""
        if any(sums.device != device for sums in self._sums.values()):
            self._triangles = {site: values.to(device) for site, values in self._triangles.items()}
            self._sums = {site: values.to(device) for site, values in self._sums.items()}
            self._patients = {site: count.to(device) for site, count in self._patients.items()}
            self._total = None

    def state_dict(self, part: str) -> StateDict:
        """Returns the sums of each site, in the part ``<part>.<site>``."""
        state: StateDict = {}
        for site, sums in self._sums.items():
            entries = {"gram": self._triangles[site], "sums": sums, "patients": self._patients[site]}
            state |= site_entries(part, site, entries)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], part: str, device: torch.device | str) -> None:
        """Restores what ``state_dict`` returned; a state without the part leaves no sums.

        Raises:
            InputError: the state was written before sums had the number of patients.
        """
        by_site = tensors_by_site(state, part)
        if incomplete := [site for site, tensors in by_site.items() if "patients" not in tensors]:
            raise InputError(
                f"the version's sums of site {incomplete[0]!r} lack the number of patients: an earlier development "
                "version of Anamnesis wrote them; create a new ContinualModel with an empty registry"
            )
        self._triangles = {site: tensors["gram"].to(device) for site, tensors in by_site.items()}
        self._sums = {site: tensors["sums"].to(device) for site, tensors in by_site.items()}
        self._patients = {site: tensors["patients"].to(device) for site, tensors in by_site.items()}
        self._total = None

    def _sum_sites(self) -> FeatureStatistics:
        device = next((sums.device for sums in self._sums.values()), torch.device("cpu"))
        total = FeatureStatistics(self.features, self.classes, device)
        if not self._sums:
            return total
        triangle = torch.stack([self._triangles[site] for site in self.sites]).sum(0)
        rows, columns = _triangle_indices(total.gram)
        total.gram[rows, columns] = triangle
        total.gram[columns, rows] = triangle
        total.patients = torch.stack([self._patients[site] for site in self.sites]).sum()
        for site in self.sites:
            total.sums[: len(self._sums[site])] += self._sums[site]
        return total


def _triangle_indices(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the rows and columns of the upper triangle of a square matrix."""
    rows, columns = torch.triu_indices(*gram.shape, device=gram.device)
    return rows, columns
