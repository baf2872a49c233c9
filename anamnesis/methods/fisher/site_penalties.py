"""Fisher information of each site; the penalty of a site's update holds the knowledge of all other sites.

The site's own past has no penalty: the update brings all its data, so what it learned before is learned again, or
corrected. A model of one site grows without any penalty.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from anamnesis.methods.base import StateDict
from anamnesis.methods.fisher.quadratic_penalty import PenaltyMerge, QuadraticPenalty
from anamnesis.methods.site_state import site_entries, tensors_by_site
from anamnesis.networks import find_learnable


class SitePenalties:
    """The quadratic of each site.

    State: ``ewc_fisher.<site>``, shaped like the weights; with the merge ``exact`` also the anchor,
    ``ewc_anchor.<site>``. With ``online`` the anchor is the base version's weights, which every version has.
    """

    def __init__(self) -> None:
        self._importance: dict[str, dict[str, Tensor]] = {}
        self._anchors: dict[str, dict[str, Tensor]] = {}

    def of_others(self, site: str, network: nn.Module) -> QuadraticPenalty:
        """Returns the sum of the quadratics of all sites except ``site``, in the shape of the network's parameters.

        Args:
            site: the site to learn.
            network: with the base version's weights, and the new rows of the head, which have no importance.
        """
        weights = {name: value.detach().clone() for name, value in find_learnable(network).items()}
        total = QuadraticPenalty()
        for other_site in sorted(self._importance.keys() - {site}):
            importance = grow_tensors(self._importance[other_site], weights)
            has_anchor = other_site in self._anchors
            anchor = grow_tensors(self._anchors[other_site], weights) if has_anchor else weights
            total = total.add(QuadraticPenalty(importance, anchor))
        return total

    def decay_others(self, site: str, decay: float) -> None:
        """Multiplies the Fisher information of all sites except ``site`` by ``decay``."""
        if decay != 1:
            for other_site in self._importance.keys() - {site}:
                self._importance[other_site] = {
                    name: decay * value for name, value in self._importance[other_site].items()
                }

    def replace(self, site: str, network: nn.Module, importance: Mapping[str, Tensor], merge: PenaltyMerge) -> None:
        """Puts the quadratic of ``site``, around the current weights, in the place of that which it had."""
        self._importance[site] = dict(importance)
        self._anchors.pop(site, None)
        if merge is PenaltyMerge.EXACT:
            self._anchors[site] = {name: value.detach().clone() for name, value in find_learnable(network).items()}

    def forget(self, site: str, kept_columns: tuple[int, ...]) -> None:
        """Removes the quadratic of ``site``, and the rows of all classes except ``kept_columns`` from the others."""
        for values in (self._importance, self._anchors):
            values.pop(site, None)
            for tensors in values.values():
                for name in ("head.weight", "head.bias"):
                    rows = [column for column in kept_columns if column < len(tensors[name])]
                    tensors[name] = tensors[name][rows]

    def state_dict(self) -> StateDict:
        """Returns the quadratics, in a part for each site."""
        state: StateDict = {}
        for part, values in (("ewc_fisher", self._importance), ("ewc_anchor", self._anchors)):
            for site, tensors in values.items():
                state |= site_entries(part, site, tensors)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor | object], device: torch.device) -> None:
        """Restores what ``state_dict`` returned; a state without it leaves no quadratic."""
        self._importance, self._anchors = (
            {
                site: {name: value.to(device) for name, value in tensors.items()}
                for site, tensors in tensors_by_site(state, part).items()
            }
            for part in ("ewc_fisher", "ewc_anchor")
        )


def grow_tensors(values: Mapping[str, Tensor], shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns float32 values [R, ...] with rows of zeros appended, in the shapes and on the devices of ``shapes``.

    Names that ``shapes`` lacks, of weights that no longer learn, are left out.
    """
    grown_tensors = {}
    for name, value in values.items():
        if name not in shapes:
            continue
        grown_tensors[name] = torch.zeros_like(shapes[name], dtype=value.dtype)
        grown_tensors[name][: len(value)] = value.to(shapes[name].device)
    return grown_tensors
