from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError

from anamnesis.cli.generate import methods_json
from anamnesis.operator.addresses import registry_url, split_key_reference, store_url
from anamnesis.operator.api import ResourceSet, load_resources
from anamnesis.operator.api.api_model import method_field_name
from anamnesis.operator.api.network import InputSpec as DeclaredInput
from anamnesis.operator.api.network import NetworkSpec as DeclaredNetwork
from anamnesis.operator.requests import configuration, gate_policy, patch_settings, site_config, update_request
from anamnesis.records import (
    Enforcement,
    InputError,
    NetworkSettings,
    PatchSampler,
    PatchSettings,
    decode,
    encode_object,
)
from anamnesis.registry import ApprovalMode
from anamnesis.updates.requests import UpdateRequest


@pytest.fixture
def resources(both_sites: str, model_text: str, resource_file: Callable[[str], Path]) -> ResourceSet:
    return load_resources(resource_file(both_sites + "---\n" + model_text))


def test_relative_paths_start_at_the_file(resources: ResourceSet, tmp_path: Path) -> None:
    model = resources.models["chest"]
    assert registry_url(model) == (tmp_path / "registry/chest").as_uri()
    assert store_url(resources.sites["guangzhou"]) == (tmp_path / "images/guangzhou").as_uri()
    assert site_config(resources.sites["guangzhou"]).source == (tmp_path / "data/cxr").as_uri()
    assert site_config(resources.sites["bethesda"]).source == "file:///elsewhere"
    assert split_key_reference(model, None, tmp_path / "key") == (tmp_path / "key").as_uri()


def test_options_take_the_types_of_the_methods_configuration(resources: ResourceSet) -> None:
    method_configuration = configuration(resources.models["chest"].resource.spec)
    assert (method_configuration.method, dict(method_configuration.options)) == (
        "ewc_prototype",
        {"consolidation": {"penalty": 3000.0}, "fisher": {"kind": "sampled"}},
    )
    assert method_configuration.network.size == (64, 64)
    from anamnesis.methods import build_method

    build_method(method_configuration)


@pytest.mark.parametrize("norm", ["Group", "Batch"])
def test_the_types_refuse_just_the_networks_that_cannot_be_built(norm: str) -> None:
    from anamnesis.networks import build_backbone

    def accepted(make: Callable[[], object]) -> bool:
        try:
            make()
        except (InputError, ValidationError):
            return False
        return True

    for width in range(4, 26):
        declared = partial(DeclaredNetwork.model_validate, {"options": {"norm": norm, "width": width}})
        built = partial(build_backbone, NetworkSettings(options={"norm": norm.lower(), "width": width}), 0)
        assert accepted(declared) == accepted(built), width


def test_patches_need_three_sides_and_no_more_than_the_volume_has() -> None:
    patches = {"volume": [48, 128, 128], "perVolume": 3}
    declared = DeclaredInput.model_validate({"size": [32, 64, 128], "patches": patches})
    assert declared.patches
    assert patch_settings(declared.patches) == PatchSettings((48, 128, 128), PatchSampler.RANDOM, 3)
    for size in ([64, 64], [64, 64, 64]):
        with pytest.raises(ValidationError, match="patches need three sides in size, and at least those in patches"):
            DeclaredInput.model_validate({"size": size, "patches": patches})


def test_the_gate_keeps_its_decimals_exactly(resources: ResourceSet) -> None:
    policy = gate_policy(resources.models["chest"].resource.spec)
    assert (policy.floor, policy.margin, policy.saliency_floor) == (Decimal("0.80"), Decimal("0.03"), Decimal("0.40"))
    assert (policy.approval, policy.enforcement) == (ApprovalMode.REQUIRED, Enforcement.ENFORCED)


def test_a_request_survives_json(resources: ResourceSet) -> None:
    request = update_request(
        resources.models["chest"],
        resources.sites["bethesda"],
        split_key="env:KEY",
        base="",
        learned_sites=(),
        author="me",
    )
    assert decode(UpdateRequest, encode_object(request)) == request


def test_methods_json_is_fresh() -> None:
    stored = Path(str(method_field_name.__code__.co_filename)).with_name("methods.json").read_text(encoding="utf-8")
    assert stored == methods_json(), "stale: run python -m anamnesis.cli.generate"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("EWC", "ewc"),
        ("EWCPrototype", "ewcPrototype"),
        ("Finetune", "finetune"),
        ("FNC2", "fnc2"),
        ("S3", "s3"),
        ("FrozenRidge", "frozenRidge"),
        ("DERPP", "derpp"),
    ],
)
def test_field_names(name: str, field: str) -> None:
    assert method_field_name(name) == field
