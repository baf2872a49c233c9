"""Data classes become JSON, with and without fields."""

import json

from anamnesis.methods import registered_methods
from anamnesis.records import encode


def test_the_options_of_every_method_become_json() -> None:
    options = {name: kind.options_class() for name, kind in registered_methods().items()}
    encoded = json.loads(json.dumps(encode(options)))
    assert encoded["joint"] == {}  # a data class without a field
    assert encoded["ewc"].keys() > {"penalty"}
