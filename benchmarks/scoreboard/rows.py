"""The rows of the scoreboard, and the settings that each family of rows may choose from on the development sequence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

Options = Mapping[str, object]

BACKBONE_FILE = "build/scoreboard/cifar10.safetensors"
"""Weights of a backbone trained on CIFAR-10, without the two classes that are in the development sequence."""
FEATURED_ROW = "ewc_prototype"
ORDERS = (0, 1)
"""As declared, and reversed."""
STORES_IMAGES = "stores images"
OPENS_ALL_DATA = "opens all data"
NETWORK_PER_SITE = "one network a site"
FROZEN_FEATURES = "learns no features after the first site"


@dataclass(frozen=True, slots=True)
class Family:
    """Rows that share a choice of hyperparameters.

    Attributes:
        method: registered name.
        trials: the settings tried, the same number for each family that has so many.
        base: options that all of them share.
        epochs: passes that are tried; more than the budget only for the upper bound.
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
        marks: what a reader must know of it.
        sequences: sequences that it runs on; empty for all of them.
        orders: of the sites that it runs in; what learns all at once has only one.
    """

    label: str
    family: str
    options: Options = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    orders: tuple[int, ...] = ORDERS

    def runs_on(self, sequence: str) -> bool:
        """Tells whether the row is one of a sequence's."""
        return not self.sequences or sequence in self.sequences


def _grid(**values: tuple[object, ...]) -> tuple[Options, ...]:
    return tuple(dict(zip(values, combination, strict=True)) for combination in product(*values.values()))


_RIDGE_SETTINGS = _grid(rule=("ridge", "discriminant"), strength=(1.0, 10.0, 100.0))
_NEAREST_MEAN_SETTINGS = _grid(grid=(1, 2, 4))
_BACKBONE_OPTIONS: Mapping[str, Options] = {
    "first task": {"features": "first_task"},
    "random": {"features": "random"},
    "CIFAR-10": {"features": "file", "file": BACKBONE_FILE},
}
_SALIENCY_TERMS = (
    "reconstruction",
    "prototype_near_sample",
    "sample_near_prototype",
    "saliency_alignment",
    "prototype_retention",
)
_EWC_ONLY_OPTIONS: Options = {
    **dict.fromkeys(_SALIENCY_TERMS, 0.0),
    "fisher_saliency": 0.0,
    "refit": 0.0,
    "classifier": "linear",
}
"""Only the parametric constraint of ``ewc_prototype``: elastic weight consolidation as published."""

FAMILIES: Mapping[str, Family] = {
    "finetune": Family("finetune", _grid(competing=("seen", "task"))),
    "joint": Family("joint", epochs=(8, 16, 32, 64)),
    "lwf": Family("lwf", _grid(competing=("seen", "task"), weight=(1.0, 3.0, 10.0))),
    "ewc": Family("ewc_prototype", _grid(penalty=(100.0, 300.0, 1e3, 3e3, 1e4, 3e4)), _EWC_ONLY_OPTIONS),
    "derpp": Family("derpp", _grid(alpha=(0.1, 0.3, 1.0), beta=(0.5, 1.0))),
    "gdumb": Family("gdumb"),
    "specialists": Family("specialists", _grid(strength=(1.0, 10.0, 30.0, 100.0, 300.0, 1000.0))),
    **{f"acil, {name}": Family("acil", _RIDGE_SETTINGS, base) for name, base in _BACKBONE_OPTIONS.items()},
    **{f"ncm, {name}": Family("ncm", _NEAREST_MEAN_SETTINGS, base) for name, base in _BACKBONE_OPTIONS.items()},
    FEATURED_ROW: Family(
        "ewc_prototype",
        _grid(penalty=(3e3, 1e4), fisher_saliency=(0.1, 0.3, 1.0)),
        {"prototypes": "shared"},
    ),
}


LADDER_SEQUENCES = ("modality",)
"""Where the ladder is climbed."""


def _ladder_rows() -> tuple[MethodRow, ...]:
    """Returns the rungs below ``ewc_prototype``, what is still switched off in each, and the whole without one part."""
    prototypes = ("prototype_near_sample", "sample_near_prototype")
    steps = (
        ("ladder: fine-tune", ("penalty",)),
        ("ladder: + EWC", ("reconstruction",)),
        ("ladder: + reconstruction", prototypes),
        ("ladder: + prototypes", ("saliency_alignment", "fisher_saliency")),
        ("ladder: + saliency alignment", ("prototype_retention",)),
    )
    rows = []
    for number, (label, _) in enumerate(steps):
        disabled_options: Options = {name: 0.0 for _, names in steps[number:] for name in names}
        rows.append(MethodRow(label, FEATURED_ROW, disabled_options, sequences=LADDER_SEQUENCES))
    ablations: Mapping[str, Options] = {
        "EWC": {"penalty": 0.0},
        "saliency's Fisher information": {"fisher_saliency": 0.0},
        "the first site's frozen features": {"frozen": "random"},
        "frozen features (its head answers alone)": {"classifier": "linear"},
    }
    rows += [
        MethodRow(f"ladder: all minus {name}", FEATURED_ROW, disabled_options, sequences=LADDER_SEQUENCES)
        for name, disabled_options in ablations.items()
    ]
    return (
        *rows,
        MethodRow(
            "ladder: all plus the discriminant as head", FEATURED_ROW, {"refit": 1.0}, sequences=("modality", "site")
        ),
    )


ROWS: tuple[MethodRow, ...] = (
    MethodRow("fine-tune", "finetune"),
    MethodRow("joint", "joint", marks=(OPENS_ALL_DATA,), orders=ORDERS[:1]),
    MethodRow(FEATURED_ROW, FEATURED_ROW),
    MethodRow("EWC", "ewc"),
    MethodRow("LwF", "lwf"),
    *(MethodRow(f"ridge (ACIL), {name}", f"acil, {name}", marks=(FROZEN_FEATURES,)) for name in _BACKBONE_OPTIONS),
    *(MethodRow(f"nearest mean, {name}", f"ncm, {name}", marks=(FROZEN_FEATURES,)) for name in _BACKBONE_OPTIONS),
    MethodRow("specialists", "specialists", marks=(NETWORK_PER_SITE,)),
    *(MethodRow(f"DER++ {size}", "derpp", {"buffer": size}, (STORES_IMAGES,)) for size in (200, 500)),
    *(MethodRow(f"GDumb {size}", "gdumb", {"buffer": size}, (STORES_IMAGES,)) for size in (200, 500)),
    *_ladder_rows(),
)
"""The last rung of the ladder, + prototype retention, is the row ``ewc_prototype`` itself."""
