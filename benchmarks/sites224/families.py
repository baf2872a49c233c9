"""The rows of the scoreboard, and the settings that each family of rows chooses from on the development sequence."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.scoreboard.options import nest_options
from benchmarks.sites224.setting import ALL_FROZEN, FROZEN_STAGES, NOTHING_FROZEN, SequenceSetting

SEEDS, REVERSED_SEEDS = (0, 1, 2), (0,)
"""Seeds in the declared order, and in the reversed one."""


@dataclass(frozen=True, slots=True)
class TrialSetting:
    """A setting that a family may choose.

    Attributes:
        learning_rate: peak rate.
        options: on top of the family's.
    """

    learning_rate: float
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SettingFamily:
    """Runs that share a choice.

    Attributes:
        method: registered name.
        trials: three settings, or one where nothing is chosen.
        options: that all trials share, by path.
        frozen: which layers never learn.
        orders: that it runs in; a method that learns all sites at once has one.
        seeds: in the declared order.
        sequences: that it runs on; empty for all.
    """

    method: str
    trials: tuple[TrialSetting, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    frozen: str = FROZEN_STAGES
    orders: tuple[int, ...] = (0, 1)
    seeds: tuple[int, ...] = SEEDS
    sequences: tuple[str, ...] = ("modality-224", "site-224")


RATES = (TrialSetting(1e-4), TrialSetting(3e-4), TrialSetting(1e-3))
ANSWER: Mapping[str, object] = {"visual_prototypes.sharing": "shared", "classifier.mode": "learned"}
"""By head and prototypes in the learned features: the answer of all four cells of the experiment."""
NO_EWC: Mapping[str, object] = {"consolidation.penalty": 0.0}
NO_PARTS: Mapping[str, object] = {
    "reconstruction.weight": 0.0,
    "latent_prototypes.prototype_near_sample": 0.0,
    "latent_prototypes.sample_near_prototype": 0.0,
    "saliency.weight": 0.0,
    "fisher.saliency_weight": 0.0,
    "retention.weight": 0.0,
}
"""Without reconstruction, prototypes and saliency terms."""


def _penalties(name: str) -> tuple[TrialSetting, ...]:
    return TrialSetting(3e-4, {name: 3e3}), TrialSetting(3e-4, {name: 3e4}), TrialSetting(1e-3, {name: 3e4})


CLOSED_FORMS: Mapping[str, Mapping[str, object]] = {
    "frozen_ridge": {},
    "frozen_ridge, ridge": {"head": "ridge"},
    "frozen_ridge, nearest mean": {"head": "nearest_mean"},
    "frozen_ridge, last level": {"levels": 1},
    "frozen_ridge, projection 5,000": {"projection": 5000, "head": "ridge"},
}
"""The order of the sites and the seed do not matter; nothing is chosen, except the strength by the method itself."""


def _closed_form(options: Mapping[str, object]) -> SettingFamily:
    return SettingFamily("frozen_ridge", (TrialSetting(3e-4),), options, ALL_FROZEN, orders=(0,), seeds=(0,))


FAMILIES: Mapping[str, SettingFamily] = {
    "fine-tune": SettingFamily("ewc_prototype", RATES, {**ANSWER, **NO_PARTS, **NO_EWC}),
    "EWC": SettingFamily("ewc_prototype", _penalties("consolidation.penalty"), {**ANSWER, **NO_PARTS}),
    "parts without EWC": SettingFamily(
        "ewc_prototype",
        (TrialSetting(3e-4), TrialSetting(1e-3), TrialSetting(3e-4, {"retention.weight": 1.0})),
        {**ANSWER, **NO_EWC},
    ),
    "ewc_prototype": SettingFamily("ewc_prototype", _penalties("consolidation.penalty"), ANSWER),
    "LwM": SettingFamily("lwm", (TrialSetting(3e-4), TrialSetting(3e-4, {"attention": 3.0}), TrialSetting(1e-3))),
    "LwF": SettingFamily("lwf", (TrialSetting(3e-4), TrialSetting(3e-4, {"weight": 3.0}), TrialSetting(1e-3))),
    "DER++ 200": SettingFamily(
        "derpp",
        (TrialSetting(3e-4), TrialSetting(3e-4, {"alpha": 0.1}), TrialSetting(1e-3)),
        {"buffer": 200, "alpha": 0.3, "beta": 0.5},
    ),
    "specialists": SettingFamily("specialists", RATES),
    "joint": SettingFamily("joint", (TrialSetting(3e-4), TrialSetting(1e-3), TrialSetting(3e-3)), orders=(0,)),
    **{name: _closed_form(options) for name, options in CLOSED_FORMS.items()},
    "full fine-tuning": SettingFamily("finetune", RATES, {"competing": "task"}, NOTHING_FROZEN, orders=(0,)),
}
"""The first four are the 2 x 2 of {EWC} x {reconstruction, prototypes and saliency terms}."""


def trial_settings(name: str) -> list[SequenceSetting]:
    """Returns the runs that the choice of a family needs; none where there is nothing to choose."""
    if len(FAMILIES[name].trials) == 1:
        return []
    return [_setting(name, trial, "development") for trial in FAMILIES[name].trials]


def run_settings(name: str, trial: TrialSetting) -> list[SequenceSetting]:
    """Returns all runs of a family with its chosen trial, those of the first seed first."""
    family = FAMILIES[name]
    runs = [(seed, 0) for seed in family.seeds] + [(seed, 1) for seed in REVERSED_SEEDS if 1 in family.orders]
    return [
        _setting(name, trial, sequence, seed, order) for seed, order in sorted(runs) for sequence in family.sequences
    ]


def _setting(name: str, trial: TrialSetting, sequence: str, seed: int = 0, order: int = 0) -> SequenceSetting:
    family = FAMILIES[name]
    return SequenceSetting(
        sequence=sequence,
        family=name,
        method=family.method,
        options=nest_options({**family.options, **trial.options}),
        seed=seed,
        order=order,
        learning_rate=trial.learning_rate,
        frozen=family.frozen,
    )
