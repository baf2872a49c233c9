"""All steps of an update on a real S3 server: registry and the sites' own stores in a bucket."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from anamnesis.registry import Log, build_history, verify_log, verify_objects
from anamnesis.storage import open_store

if TYPE_CHECKING:
    from conftest import UpdateRunner


def test_two_sites_on_s3_give_the_versions_that_a_folder_gives(
    make_runner: Callable[[str], "UpdateRunner"], s3_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    champions = []
    for name in ("folder", "bucket"):
        runner = make_runner(name)
        runner.root.mkdir()
        runner.stores = "s3://models/whole-way" if name == "bucket" else ""
        for site in ("north", "east"):
            runner.update(site)
        store = open_store(runner.registry)
        assert not verify_log(store)
        assert not verify_objects(store)
        champions.append(build_history(Log(store).entries()).champion)
    assert champions[0] == champions[1] is not None
