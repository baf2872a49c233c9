"""Where the key of a site is: the Site's own, or the network's."""

from pathlib import Path
from typing import Any

import pytest
from builders.resource_documents import document, model_spec, site_spec

from anamnesis.operator.addresses import site_key_variable, split_key_reference
from anamnesis.operator.api import ContinualModel, LoadedResource, Site
from anamnesis.operator.controllers.continualmodel.validation import check_split_keys
from anamnesis.records import InputError

SECRET = {"type": "Secret", "secret": {"name": "key"}}
FILE = {"type": "File", "file": {"path": "own.key"}}
ENVIRONMENT = {"type": "Environment", "environment": {"name": "OWN_KEY"}}
KUBEFLOW = {"type": "Kubeflow", "kubeflow": {"endpoint": "http://ml-pipeline:8888"}}


def site(key: dict[str, Any] | None, folder: Path = Path("/lab")) -> LoadedResource[Site]:
    spec = site_spec({"type": "S3", "s3": {"url": "s3://arrivals/lyon"}}, "s3://images/lyon")
    return LoadedResource(
        Site.model_validate(document("Site", "st-lyon", spec | ({"splitKey": key} if key else {}))), folder / "x.yaml"
    )


def model(key: dict[str, Any] | None, backend: dict[str, Any] | None = None) -> LoadedResource[ContinualModel]:
    gate = {"floor": "0.8", "margin": "0.1", "approval": "Automatic"}
    changes = {"gate": gate, "registry": {"url": "s3://models/chest"}, **({"backend": backend} if backend else {})}
    spec = model_spec(("st-lyon",), changes | ({"splitKey": key} if key else {}))
    return LoadedResource(ContinualModel.model_validate(document("ContinualModel", "chest", spec)), Path("/net/x.yaml"))


@pytest.mark.parametrize(
    ("model_key", "site_key", "expected"),
    [
        (None, None, "file:///state/split.key"),
        (SECRET, None, "env:ANAMNESIS_SPLIT_KEY"),
        (FILE, None, "file:///net/own.key"),
        (SECRET, SECRET, "site+env:ANAMNESIS_SPLIT_KEY_ST_LYON"),
        (None, FILE, "site+file:///lab/own.key"),
        (SECRET, ENVIRONMENT, "site+env:OWN_KEY"),
    ],
)
def test_the_sites_own_key_counts_first(model_key, site_key, expected: str) -> None:
    assert split_key_reference(model(model_key), site(site_key), Path("/state/split.key")) == expected


def test_the_variable_of_a_site_is_a_valid_name() -> None:
    assert site_key_variable("st-lyon-2").isidentifier()


@pytest.mark.parametrize(
    ("model_key", "site_key", "message"),
    [
        (SECRET, None, ""),
        (None, SECRET, ""),
        (
            None,
            None,
            "spec.splitKey: backend Kubeflow needs a splitKey of type Secret or Environment, because Site st-lyon",
        ),
        (SECRET, FILE, "Site st-lyon: spec.splitKey: backend Kubeflow excludes type File"),
    ],
)
def test_on_kubeflow_each_site_has_a_key_that_pods_can_read(model_key, site_key, message: str) -> None:
    sites = {"st-lyon": site(site_key)}
    if not message:
        check_split_keys(model(model_key, KUBEFLOW), sites)
        return
    with pytest.raises(InputError, match=message):
        check_split_keys(model(model_key, KUBEFLOW), sites)
    check_split_keys(model(model_key), sites)
