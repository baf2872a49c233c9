"""What ``docs/install.md`` says of backup and restore, by its own commands, while the operator goes on."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from apiserver.hospital_namespace import HospitalNamespace
from builders.waiting import eventually
from conftest import missing

from anamnesis.operator.api.condition_types import READY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "install.md"
Shell = Callable[[str], str]


@pytest.fixture
def shell(hospital: HospitalNamespace, s3_environment: Mapping[str, str], tmp_path: Path) -> Shell:
    """Runs commands as a person would who has rclone, kubectl and anamnesis."""
    if not shutil.which("rclone"):
        missing("no rclone: apt-get install rclone")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "anamnesis").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m anamnesis.cli "$@"\n')
    (tools / "anamnesis").chmod(0o755)
    environment = {
        **{name: text for name, text in os.environ.items() if name != "AWS_CA_BUNDLE"},  # rclone fails where it is set
        **s3_environment,
        "PATH": f"{tools}:{hospital.cluster.binaries}:{os.environ['PATH']}",
        "KUBECONFIG": str(hospital.cluster.kubeconfig()),
        "RCLONE_CONFIG": str(tmp_path / "rclone.conf"),
        "RCLONE_S3_PROVIDER": "Minio",
        "RCLONE_S3_ENV_AUTH": "true",
        "RCLONE_S3_ENDPOINT": s3_environment["AWS_ENDPOINT_URL"],
    }

    def run(commands: str) -> str:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert result.returncode == 0, f"{commands}: {result.stdout}"
        return result.stdout

    return run


def commands(nth: int, hospital: HospitalNamespace, copy: str) -> str:
    """The page's block of copying (0) or restoring (1), with this hospital's names."""
    block = PAGE.read_text().split("```bash\n")[nth + 1].partition("```")[0]
    _, rest = block.split("\n", 1)
    registry_path = hospital.registry.removeprefix("s3://")
    names = f"space={hospital.namespace} model=chest registry={registry_path}"
    names += f" images=models/{hospital.namespace}/images copy={copy}"
    return f"{names}\n{rest}"


def ready_message(hospital: HospitalNamespace) -> str:
    return next(
        str(condition["message"]) for condition in hospital.status()["conditions"] if condition["type"] == "Ready"
    )


def test_a_newest_copy_goes_on_by_itself_and_an_older_one_by_a_persons_decision(
    hospital: HospitalNamespace, shell: Shell, tmp_path: Path
) -> None:
    def lose_and_restore(copy: str) -> None:
        shell(f"rclone purge :s3:{hospital.registry.removeprefix('s3://')}")
        shell(f"rclone purge :s3:models/{hospital.namespace}/images")
        eventually(lambda: hospital.condition(READY) == "False RegistryDamaged", 60)
        assert "no problems found" in shell(commands(1, hospital, copy))

    hospital.apply()
    hospital.start_operator(flags=("--resync=1",))
    hospital.upload_images("north")
    hospital.wait_for_states(north="Learned")
    assert "no problems found (compared with" in shell(commands(0, hospital, "older"))
    hospital.upload_images("south")
    hospital.wait_for_states(north="Learned", south="Learned")
    shell(commands(0, hospital, "newest"))
    shell(commands(0, hospital, "newest"))  # again, onto the same copy
    before = hospital.end_state()

    lose_and_restore("newest")
    eventually(lambda: hospital.condition(READY) == "True ChampionInUse", 60)
    assert hospital.end_state() == before

    lose_and_restore("older")
    hospital.kubectl("annotate", "continualmodel", "chest", "hospital.example/looked=yes")  # makes it look again
    entries = len(list((tmp_path / "older").glob("models/*/chest/log/*.json")))
    eventually(lambda: f"has {entries} entries" in ready_message(hospital), 60)
    ready_text = ready_message(hospital)
    command_match = re.search(
        r"kubectl -n \S+ annotate --overwrite continualmodel chest \S+=\d+:sha256:\w+", ready_text
    )
    assert command_match, ready_text
    assert hospital.condition(READY) == "False RegistryDamaged"
    shell(command_match[0])
    eventually(lambda: hospital.condition(READY) == "True ChampionInUse", 60)
    hospital.wait_for_states(north="Learned", south="Learned")
    after = hospital.end_state()
    assert (after.promoted, after.problems) == (before.promoted, ()), "the same updates give the same versions"
