"""One update: the candidate, its lineage, its opened data, and the decision of the gate."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import torch

from anamnesis import steps
from anamnesis.records import (
    MINIMUM_CELL_PATIENTS,
    Configuration,
    InputError,
    NetworkSettings,
    RefusedError,
    TrainingSettings,
    encode_object,
)
from anamnesis.registry import (
    Log,
    build_history,
    find_update_record,
    list_update_records,
    read_evaluations,
    read_version,
)
from anamnesis.snapshots.training_sets import TrainingSet
from anamnesis.storage import open_store
from anamnesis.updates.loss_curves import publishable_losses
from anamnesis.updates.model import load_model
from anamnesis.updates.update import run_update

if TYPE_CHECKING:
    from conftest import UpdateRunner


def test_a_sequence_of_sites_becomes_a_lineage_with_every_cell_judged(runner: "UpdateRunner") -> None:
    versions = [runner.update(site)["train"]["version"] for site in ("north", "east", "north")]
    store = open_store(runner.registry)
    assert build_history(Log(store).entries()).promoted_versions == tuple(versions)
    assert [read_version(store, str(v)).base for v in versions] == [None, *versions[:2]]
    judged = [sorted((e.name, e.site) for e in read_evaluations(store, str(v))) for v in versions]
    both_sites = [(name, site) for name in ("forgetting", "saliency") for site in ("east", "north")]
    assert judged == [[cell for cell in both_sites if cell[1] == "north"], both_sites, both_sites]


def test_an_update_learns_and_reports_both_scenarios(runner: "UpdateRunner") -> None:
    runner.training = TrainingSettings(epochs=12, batch_size=8, learning_rate=5e-3, augment=False)
    runner.update("north")
    summary = runner.update("east")["forgetting"]["summary"]
    assert summary["east/Accuracy"] > 0.8
    # the head favours the new classes, but frozen features distinguish the sites
    assert summary["north/ClassIncrementalAccuracy"] == summary["north/Accuracy"]
    assert summary["north/SiteInferred"] == summary["east/SiteInferred"] == 1


def test_a_second_site_with_the_same_task_shares_its_head(runner: "UpdateRunner") -> None:
    runner.update("north")
    version = str(runner.update("south")["train"]["version"])
    model = load_model(open_store(runner.registry), version)
    assert model.description.labels == ("bars/left", "bars/right")
    assert model.method.network.head.classes == 2


def test_the_same_input_is_trained_once(runner: "UpdateRunner") -> None:
    snapshot, _ = runner.ingest("north")
    first = run_update(runner.request("north"), snapshot)
    repeated = run_update(runner.request("north"), snapshot)
    assert (first.is_reused, repeated.is_reused) == (False, True)
    assert first.record == repeated.record
    assert list_update_records(open_store(runner.registry)) == [first.record]
    stored_losses = [terms["classification"] for terms in repeated.record.epoch_losses]
    assert stored_losses == pytest.approx([terms["classification"] for terms in first.epoch_losses], rel=1e-5)
    assert len(stored_losses) == 2


@pytest.mark.parametrize(("patients", "epochs"), [(9, 0), (10, 1)])
def test_losses_of_few_patients_stay_at_the_site(patients: int, epochs: int) -> None:
    members = {f"p{number}": (f"image {number}",) for number in range(patients)}
    losses = publishable_losses(({"classification": 0.12345678},), TrainingSet("north", {"left": members}))
    assert losses == ({"classification": 0.123457},) * epochs


def test_equal_inputs_give_equal_bits_in_another_registry(make_runner: Callable[[str], "UpdateRunner"]) -> None:
    first_runner, second_runner = make_runner("one"), make_runner("other")
    (second_runner.root).mkdir()
    first_runner.ingest("north")
    second_runner.write_images("north")
    results = [runner.update("north")["train"]["version"] for runner in (first_runner, second_runner)]
    assert results[0] == results[1]


def test_threads_and_seed_are_part_of_the_input(runner: "UpdateRunner") -> None:
    snapshot, _ = runner.ingest("north")
    request = runner.request("north")
    inputs = set()
    for training in (runner.training, replace(runner.training, seed=1), replace(runner.training, threads=2)):
        configuration = replace(request.configuration, training=training)
        inputs.add(run_update(replace(request, configuration=configuration), snapshot).record.input_digest)
    assert len(inputs) == 3


def test_only_joint_opens_earlier_training_splits_and_says_so(make_runner: Callable[[str], "UpdateRunner"]) -> None:
    opened = {}
    for method in ("joint", "ewc_prototype"):
        runner = make_runner(method)
        runner.method = method
        first, _ = runner.ingest("north")
        second, _ = runner.ingest("east")
        runner.update("north")
        version = runner.update("east")["train"]["input"]
        record = find_update_record(open_store(runner.registry), str(version))
        assert record is not None
        opened[method] = record.opened_snapshots == (first, second), record.opened_snapshots == (second,)
    assert opened == {"joint": (True, False), "ewc_prototype": (False, True)}


def test_a_version_holds_no_image(runner: "UpdateRunner") -> None:
    """Only weights and numbers leave a hospital: no tensor has the shape of an image."""
    version = str(runner.update("north")["train"]["version"])
    store = open_store(runner.registry)
    parts = read_version(store, version).parts
    assert set(parts) == {"network", "model", "site_features.north"}
    model = load_model(store, version)
    state = model.method.state_dict()
    assert not [n for n, v in state.items() if isinstance(v, torch.Tensor) and tuple(v.shape[-2:]) == (16, 16)]
    statistics = model.site_features.statistics["north"]
    assert statistics.patients >= MINIMUM_CELL_PATIENTS
    assert statistics.mean.shape == statistics.covariance.shape[:1], "one mean over all patients"


def test_the_statistics_of_other_sites_are_carried_forward(runner: "UpdateRunner") -> None:
    first = str(runner.update("north")["train"]["version"])
    second = str(runner.update("east")["train"]["version"])
    store = open_store(runner.registry)
    parts, later_parts = (read_version(store, version).parts for version in (first, second))
    assert later_parts["site_features.north"] == parts["site_features.north"]
    assert later_parts["site_features.east"] != parts["site_features.north"]


def test_a_method_that_stores_images_runs_only_where_it_is_allowed(runner: "UpdateRunner") -> None:
    runner.method = "derpp"
    snapshot, _ = runner.ingest("north")
    with pytest.raises(RefusedError, match=r"'derpp' keeps real images of patients .*storedImages: Allowed"):
        run_update(runner.request("north"), snapshot)
    store = open_store(runner.registry)
    assert not list(store.list("versions/"))
    allowed = run_update(replace(runner.request("north"), stored_images=True), snapshot)
    assert "buffer.north" in read_version(store, allowed.record.version).parts


def test_the_checkpoints_of_a_finished_update_are_gone(runner: "UpdateRunner") -> None:
    runner.update("north")
    assert not list(open_store(runner.registry).list("checkpoints/"))


def test_a_failing_gate_keeps_the_champion(runner: "UpdateRunner") -> None:
    first = runner.update("north")["train"]["version"]
    runner.policy = replace(runner.policy, floor=Decimal("1.01"))
    result = runner.update("east")["promote"]
    assert (result["verdict"], result["promoted"], result["champion"]) == ("reject", False, first)
    assert "Accuracy of bars at north is " in str(result["reason"])
    json.dumps(result)  # plain values, for a pipeline's outputs


def test_promoting_again_writes_nothing(runner: "UpdateRunner") -> None:
    _, test_set = runner.ingest("north")
    version = str(runner.update("north")["train"]["version"])
    runner.base, runner.learned_sites = "", ()
    request = encode_object(runner.request("north"))
    before = Log(open_store(runner.registry)).head()
    assert steps.promote_model(request, version, test_set, "tester")["promoted"] is True
    assert Log(open_store(runner.registry)).head() == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"network": NetworkSettings(size=(16, 16), options={"width": 16, "norm": "group"})},
            InputError,
            r"network\.options\.width: expected 8 as in the base version, found 16; .*set spec",
        ),
        ({"method": "unicorn"}, InputError, "expected one of .*, found 'unicorn'"),
        ({"options": {"penaltty": 1.0}}, InputError, "unknown field 'penaltty'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    runner: "UpdateRunner", change: dict[str, object], error: type[Exception], message: str
) -> None:
    runner.update("north")
    snapshot, _ = runner.ingest("east")
    request = runner.request("east")
    configuration = Configuration(**{**_fields(request.configuration), **change})  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        run_update(replace(request, configuration=configuration), snapshot)


def test_a_task_keeps_its_classes(runner: "UpdateRunner") -> None:
    runner.update("north")
    snapshot, _ = runner.ingest("south")
    request = runner.request("south")
    changed_site = replace(request.site, task=replace(request.site.task, classes=("left", "up")))
    with pytest.raises(InputError, match="learned this task at site 'north' as"):
        run_update(replace(request, site=changed_site), snapshot)


def test_the_snapshot_of_another_site_is_refused(runner: "UpdateRunner") -> None:
    snapshot, _ = runner.ingest("east")
    runner.ingest("north")
    request = replace(runner.request("north"), store=runner.store("east"))
    with pytest.raises(RefusedError, match="is of site 'east'"):
        run_update(request, snapshot)


def _fields(configuration: Configuration) -> dict[str, object]:
    return {name: getattr(configuration, name) for name in ("method", "options", "network", "training")}


def test_compared_methods_start_with_equal_weights(make_runner: Callable[[str], "UpdateRunner"]) -> None:
    networks = []
    for method in ("finetune", "lwf", "joint"):
        runner = make_runner(method)
        runner.method = method
        runner.root.mkdir()
        version = str(runner.update("north")["train"]["version"])
        networks.append(read_version(open_store(runner.registry), version).parts["network"])
    assert len(set(networks)) == 1
