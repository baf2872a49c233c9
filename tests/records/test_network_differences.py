"""An edited network is described by the fields that a person writes; an unreadable champion hinders nobody."""

from dataclasses import replace

from anamnesis.records import Configuration, NetworkSettings, Version, encode_object
from anamnesis.records.network_differences import find_network_problem

NETWORK = NetworkSettings(size=(16, 16), options={"width": 8})


def champion(configuration: dict[str, object]) -> Version:
    digest = "sha256:" + "1" * 64
    return Version(base=None, snapshot=digest, site="north", configuration=configuration, parts={})


def test_an_edited_network_is_told_and_an_equal_or_unreadable_one_is_not() -> None:
    version = champion(encode_object(Configuration("ewc", network=NETWORK)))
    assert find_network_problem(NETWORK, version) == ""
    assert find_network_problem(NETWORK, None) == ""
    problem = find_network_problem(replace(NETWORK, size=(32, 32)), version)
    assert problem.startswith("network.input.size: expected [16, 16] as in the base version, found [32, 32]")
    assert find_network_problem(NETWORK, champion({"method": 7})) == ""
