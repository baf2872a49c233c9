"""The operator's imports work without the learning libraries, as in its image."""

import subprocess
import sys
from typing import TYPE_CHECKING

from anamnesis.records import canonical_json, encode_object

if TYPE_CHECKING:
    from conftest import UpdateRunner

PROGRAM = """
import sys

LEARNING = {"numpy", "torch", "pydicom", "PIL", "nibabel", "monai", "safetensors", "matplotlib"}

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEARNING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
import json
import anamnesis.operator.requests
import anamnesis.operator.controllers.dispatch
from anamnesis.records import decode
from anamnesis.registry import evaluate_gate, read_update_result
from anamnesis.storage import open_store
from anamnesis.snapshots import current_test_set, list_test_sets
from anamnesis.updates import EvaluationRequest, UpdateRequest
from anamnesis import steps
from anamnesis.updates import required_tests
import anamnesis.updates.version_chain

request = decode(UpdateRequest, json.loads(sys.argv[1]))
test_set = current_test_set(open_store(request.store))
assert test_set == list_test_sets(open_store(request.store))[-1].digest
assert current_test_set(open_store(request.store + "-of-nobody")) == ""
tests = required_tests.required_tests(request, test_set)
print(evaluate_gate(open_store(request.registry), sys.argv[2], request.gate, tests).verdict)
"""


def test_a_candidate_is_judged_without_numpy_and_torch(runner: "UpdateRunner") -> None:
    request = canonical_json(encode_object(runner.request("north"))).decode()
    version = str(runner.update("north")["train"]["version"])
    command = [sys.executable, "-c", PROGRAM, request, version]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (0, "promote\n"), result.stderr
