from datetime import UTC, datetime

import pytest

from anamnesis.operator.api.update import name_prefix
from anamnesis.operator.controllers.continualmodel.names import evaluation_name, update_name
from anamnesis.records import digest_json


@pytest.mark.parametrize("model", ["chest", "chest-" + "x" * 40, "x" * 63])
def test_what_belongs_to_a_model_is_found_by_its_prefix(model: str) -> None:
    names = {update_name(model, "uid", digest_json(1)), evaluation_name(model, datetime(2026, 1, 1, tzinfo=UTC))}
    assert all(name.startswith(name_prefix(model)) for name in names)
    assert len(update_name(model, "uid", digest_json(1))) <= 63
