"""The rows of the scoreboard, and the settings that each family of rows may choose from on the development sequence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

Options = Mapping[str, object]
"""Options by path, for example ``consolidation.penalty``."""

FEATURED_ROW = "ewc_prototype"
DEFAULT_ROW = "ewc_prototype, private"
"""What the README, the samples and the chart configure: no prototype leaves a site, and the head answers alone."""
ORDERS = (0, 1)
"""As declared, and reversed."""
STORES_IMAGES = "stores images"
OPENS_ALL_DATA = "opens all data"
NETWORK_PER_SITE = "one network a site"
FROZEN_FEATURES = "learns no features after the first site"
DEFAULT_OF_A_USER = "the default"
HEAD_ALONE_ROW = "ladder: all minus frozen features (its head answers alone)"
NO_HEAD_ROW = "none"


@dataclass(frozen=True, slots=True)
class Family:
    """Rows that share a choice of hyperparameters.

    Attributes:
        method: registered name.
        trials: the settings to try; the same number for each family that has enough of them.
        base: options that all trials share.
        epochs: passes to try; more than the budget only for the upper bound.
    """

    method: str
    trials: tuple[Options, ...] = ({},)
    base: Options = field(default_factory=dict)
    epochs: tuple[int, ...] = (8,)


@dataclass(frozen=True, slots=True)
class MethodRow:
    """A line of the tables.

    Attributes:
        label: unique.
        family: whose choice it takes.
        options: on top of that choice.
        marks: facts that a reader must know.
        sequences: sequences that it runs on; empty for all of them.
        orders: of the sites that it runs in; a method that learns all sites at once has only one.
        head: the row whose answer is the head of the same trained network, where another classifier answers here; the
            maps are of this head, so its learning decides whether they count. ``NO_HEAD_ROW`` where no row has it.
    """

    label: str
    family: str
    options: Options = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    orders: tuple[int, ...] = ORDERS
    head: str = ""

    def runs_on(self, sequence: str) -> bool:
        """Returns whether the row runs on a sequence."""
        return not self.sequences or sequence in self.sequences


def _grid(values: Mapping[str, tuple[object, ...]]) -> tuple[Options, ...]:
    return tuple(dict(zip(values, combination, strict=True)) for combination in product(*values.values()))


_SOURCES: Mapping[str, Options] = {
    "first task": {"features": "first_task"},
    "random": {"features": "random"},
}

FAMILIES: Mapping[str, Family] = {
    "finetune": Family("finetune", _grid({"competing": ("seen", "task")})),
    "joint": Family("joint", epochs=(8, 16, 32, 64)),
    "lwf": Family("lwf", _grid({"competing": ("seen", "task"), "weight": (1.0, 3.0, 10.0)})),
    "ewc": Family("ewc", _grid({"penalty": (100.0, 300.0, 1e3, 3e3, 1e4, 3e4)})),
    "derpp": Family("derpp", _grid({"alpha": (0.1, 0.3, 1.0), "beta": (0.5, 1.0)})),
    "gdumb": Family("gdumb"),
    "specialists": Family("specialists", _grid({"strength": (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)})),
    **{f"frozen_ridge, {name}": Family("frozen_ridge", base=base) for name, base in _SOURCES.items()},
    FEATURED_ROW: Family(
        "ewc_prototype",
        _grid({"consolidation.penalty": (3e3, 1e4), "fisher.saliency_weight": (0.1, 0.3, 1.0)}),
        {"visual_prototypes.sharing": "shared"},
    ),
    DEFAULT_ROW: Family("ewc_prototype"),
}


LADDER_SEQUENCES = ("modality",)
"""Sequences that the ladder's rows run on."""


def _ladder_rows() -> tuple[MethodRow, ...]:
    """Returns ``ewc_prototype`` in steps, each with the later steps off, and the whole method without one part."""
    prototypes = ("latent_prototypes.prototype_near_sample", "latent_prototypes.sample_near_prototype")
    steps = (
        ("ladder: fine-tune", ("consolidation.penalty",)),
        ("ladder: + EWC", ("reconstruction.weight",)),
        ("ladder: + reconstruction", prototypes),
        ("ladder: + prototypes", ("saliency.weight", "fisher.saliency_weight")),
        ("ladder: + saliency alignment", ("retention.weight",)),
    )
    rows = []
    for number, (label, _) in enumerate(steps):
        disabled_options: Options = {name: 0.0 for _, names in steps[number:] for name in names}
        head = "EWC" if label == "ladder: + EWC" else NO_HEAD_ROW
        rows.append(MethodRow(label, FEATURED_ROW, disabled_options, sequences=LADDER_SEQUENCES, head=head))
    ablations: Mapping[str, Options] = {
        "EWC": {"consolidation.penalty": 0.0},
        "saliency's Fisher information": {"fisher.saliency_weight": 0.0},
        "the first site's frozen features": {"classifier.frozen_features": "random"},
        "frozen features (its head answers alone)": {"classifier.mode": "linear"},
    }
    heads = {"the first site's frozen features": HEAD_ALONE_ROW, "frozen features (its head answers alone)": ""}
    rows += [
        MethodRow(
            f"ladder: all minus {name}",
            FEATURED_ROW,
            disabled_options,
            sequences=LADDER_SEQUENCES,
            head=heads.get(name, NO_HEAD_ROW),
        )
        for name, disabled_options in ablations.items()
    ]
    return (
        *rows,
        MethodRow(
            "ladder: all plus the discriminant as head",
            FEATURED_ROW,
            {"classifier.refit_ridge": 1.0},
            sequences=("modality", "site"),
            head=NO_HEAD_ROW,
        ),
    )


ROWS: tuple[MethodRow, ...] = (
    MethodRow("fine-tune", "finetune"),
    MethodRow("joint", "joint", marks=(OPENS_ALL_DATA,), orders=ORDERS[:1]),
    MethodRow(FEATURED_ROW, FEATURED_ROW, head=HEAD_ALONE_ROW),
    MethodRow(DEFAULT_ROW, DEFAULT_ROW, marks=(DEFAULT_OF_A_USER,)),
    MethodRow("EWC", "ewc"),
    MethodRow("LwF", "lwf"),
    *(MethodRow(f"frozen_ridge, {name}", f"frozen_ridge, {name}", marks=(FROZEN_FEATURES,)) for name in _SOURCES),
    MethodRow("specialists", "specialists", marks=(NETWORK_PER_SITE,)),
    *(MethodRow(f"DER++ {size}", "derpp", {"buffer": size}, (STORES_IMAGES,)) for size in (200, 500)),
    *(MethodRow(f"GDumb {size}", "gdumb", {"buffer": size}, (STORES_IMAGES,)) for size in (200, 500)),
    *_ladder_rows(),
)
"""The last rung of the ladder, + prototype retention, is the row ``ewc_prototype`` itself."""
