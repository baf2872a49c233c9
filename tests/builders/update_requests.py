"""Any UpdateRequest that is valid, for property tests."""

from decimal import Decimal

from hypothesis import strategies as st

from anamnesis.records import (
    Configuration,
    LabelOrigin,
    LabelSource,
    NetworkSettings,
    PatientOrigin,
    SiteConfig,
    SiteRef,
    SourceState,
    Task,
    TaskType,
    TrainingSettings,
    UpdateTrigger,
)
from anamnesis.records.metrics import primary_metrics
from anamnesis.registry import ApprovalMode, GatePolicy, TaskLimits
from anamnesis.updates.requests import UpdateRequest

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["3", "true", "null", '"a"', "NaN", "a.b"])
COUNTS = st.integers(0, 2**53)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.decimals("-1e9", "1e9", places=9) | st.sampled_from([Decimal("0.80"), Decimal(f"{'1' * 28}e-99")])
OPTION_NAMES = st.from_regex(r"[a-z][a-z0-9]{0,3}(_[a-z0-9]{1,3}){0,2}", fullmatch=True)
OPTION_VALUES = TEXTS | st.integers() | FLOATS | st.booleans() | st.none() | st.lists(st.integers(), max_size=3)
OPTIONS = st.recursive(
    st.dictionaries(OPTION_NAMES, OPTION_VALUES, max_size=4),
    lambda groups: st.dictionaries(OPTION_NAMES, OPTION_VALUES | groups, max_size=4),
    max_leaves=8,
)
CLASSES = st.lists(TEXTS, min_size=2, max_size=4, unique=True).map(tuple)
TASKS = st.sampled_from(TaskType).flatmap(
    lambda task_type: st.builds(Task, TEXTS, st.just(task_type), CLASSES, st.sampled_from(primary_metrics(task_type)))
)
LABELS = st.one_of(
    st.builds(LabelSource, st.just(LabelOrigin.CONTAINER), ignore=st.lists(TEXTS, max_size=2).map(tuple)),
    st.builds(
        LabelSource,
        st.just(LabelOrigin.MANIFEST),
        TEXTS.filter(bool),
        patients=st.sampled_from(PatientOrigin),
        covariates=st.lists(TEXTS, max_size=2).map(tuple),
        ignored_columns=st.lists(TEXTS, max_size=2).map(tuple),
    ),
)
SITES = st.builds(
    SiteConfig,
    name=TEXTS,
    source=TEXTS,
    modalities=st.lists(TEXTS, max_size=2).map(tuple),
    task=TASKS,
    labels=LABELS,
    test_fraction=FLOATS,
    maximum_studies=COUNTS,
)
LIMITS = st.builds(
    TaskLimits, st.none() | DECIMALS, st.none() | DECIMALS.filter(lambda margin: margin >= 0), st.none() | DECIMALS
)
UPDATE_REQUESTS = st.builds(
    UpdateRequest,
    model=TEXTS,
    registry=TEXTS,
    site=SITES,
    store=TEXTS,
    configuration=st.builds(
        Configuration,
        TEXTS,
        OPTIONS,
        st.builds(NetworkSettings, size=st.tuples(COUNTS, COUNTS)),
        st.builds(
            TrainingSettings, learning_rate=st.none() | FLOATS.filter(lambda rate: rate > 0), augment=st.booleans()
        ),
    ),
    split_key=TEXTS,
    sites=st.lists(st.builds(SiteRef, TEXTS, TEXTS, TASKS), max_size=3).map(tuple),
    gate=st.builds(
        GatePolicy, tasks=st.dictionaries(TEXTS, LIMITS, max_size=3), approval=st.sampled_from(ApprovalMode)
    ),
    stored_images=st.booleans(),
    trigger=st.none() | st.builds(UpdateTrigger, TEXTS, TEXTS, st.builds(SourceState, TEXTS, COUNTS), COUNTS),
)
