"""A linear classifier in closed form, with the sums of each site that it follows from."""

from collections.abc import Mapping

import torch
from torch import Tensor

from anamnesis.methods.base import StateDict
from anamnesis.methods.closed_form.heads import STRENGTHS, HeadKind, cross_validate, solve_head
from anamnesis.methods.features.feature_statistics import FeatureStatistics
from anamnesis.methods.features.site_sums import SiteSums
from anamnesis.networks import GrowingHead


class ClosedFormHead:
    """Sums of each site, the strength that they choose, and the classifier; the order of the sites does not matter.

    State: ``<part>.<site>``, the sums of each site; ``<part>_choice``, the strength and the error of each tried one.

    Attributes:
        sums: of each site.
        kind: which classifier.
        errors: the cross-validation error of each strength; empty where the strength was not chosen.
    """

    def __init__(self, part: str, features: int, kind: HeadKind, fixed_strength: float = 0.0) -> None:
        """Makes a classifier without classes.

        Args:
            part: name of its parts in the state.
            features: D, number of features.
            kind: which classifier.
            fixed_strength: see ``solve_head``; 0 chooses it whenever the sums change.
        """
        self.sums, self.kind = SiteSums(features), kind
        self.errors: dict[float, float] = {}
        self._part, self._fixed_strength = part, fixed_strength
        self._weights: Tensor | None = None

    @property
    def strength(self) -> float:
        """The strength of the classifier."""
        by_error = sorted((error, -strength) for strength, error in self.errors.items())
        return self._fixed_strength or (-by_error[0][1] if by_error else STRENGTHS[-1])

    @property
    def weights(self) -> Tensor:
        """[K, D + 1] weights on the features, the bias last, in float64; minus infinity for a class without images."""
        if self._weights is None:
            self._weights = solve_head(self.sums.total, self.kind, self.strength)
            self._weights[~self.has_images, -1] = -torch.inf
        return self._weights

    @property
    def has_images(self) -> Tensor:
        """[K], whether a class has images."""
        return self.sums.total.sums[:, -1] > 0

    def replace_site(self, site: str, statistics: FeatureStatistics) -> None:
        """Puts the sums of ``site`` in the place of those that it had, and chooses the strength again."""
        self.sums.replace(site, statistics)
        self._choose()

    def forget_site(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the sums of ``site`` exactly, and the rows of all classes except ``kept_columns``."""
        self.sums.forget(site, kept_columns)
        self._choose()

    def clear_site(self, site: str, classes: int, device: torch.device | str = "cpu") -> None:
        """Gives ``site`` empty sums of ``classes`` classes; its images replace them later."""
        self.sums.clear(site, classes, device)
        self._weights = None

    @torch.no_grad()
    def update_rows(self, head: GrowingHead) -> None:
        """Gives ``head`` the rows of all classes; those of imported sites, which have no sums, stay."""
        weights = self.weights
        is_solved = torch.ones(head.classes, dtype=torch.bool, device=head.weight.device)
        if self.sums.imported_sites:
            is_solved = self.has_images
        head.weight[is_solved] = weights[is_solved, :-1].to(head.weight)
        head.bias[is_solved] = weights[is_solved, -1].to(head.bias)

    def to(self, device: torch.device) -> None:
        """Moves the sums."""
        self.sums.to(device)
        self._weights = None if self._weights is None else self._weights.to(device)

    def state_dict(self) -> StateDict:
        """Returns the sums and the choice."""
        errors = {str(strength): str(error) for strength, error in self.errors.items()}  # JSON has no infinity
        choice: StateDict = {f"{self._part}_choice/strength": self.strength, f"{self._part}_choice/errors": errors}
        return self.sums.state_dict(self._part) | choice

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device | str) -> None:
        """Restores what ``state_dict`` returned; a state without it leaves no class."""
        self.sums.load_state_dict(state, self._part, device)
        errors = state.get(f"{self._part}_choice/errors")
        self.errors = {float(key): float(error) for key, error in errors.items()} if isinstance(errors, Mapping) else {}
        self._weights = None

    def _choose(self) -> None:
        is_chosen = not self._fixed_strength and self.kind is not HeadKind.NEAREST_MEAN
        self.errors = cross_validate(self.sums.total) if is_chosen else {}
        self._weights = None
