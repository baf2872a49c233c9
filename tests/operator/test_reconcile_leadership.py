"""A process that loses its leadership in the middle of its work stops at once, and the next one loses nothing."""

from dataclasses import dataclass

import pytest
from fakes.hospital import FakeHospital, HospitalNetwork

from anamnesis.operator.backends.base import Run
from anamnesis.operator.runtime.cluster import LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import ReconcileKey

KEY = ReconcileKey("ContinualModel", "hospital", "chest")


@dataclass
class LeadershipLoss:
    """Leadership that is lost during a write; it counts the later writes."""

    hospital: FakeHospital
    writes_left: int
    writes_after: int = 0

    def write(self) -> None:
        self.writes_after += not self.hospital.cluster.leads
        self.writes_left -= 1
        if self.writes_left == 0:
            self.hospital.cluster.leads = False


@pytest.mark.parametrize("runs_done", [False, True], ids=["beginning", "deciding"])
def test_nothing_is_written_anywhere_after_leadership_was_lost(
    monkeypatch: pytest.MonkeyPatch, runs_done: bool
) -> None:
    stopped = 0
    for writes in range(1, 30):
        network = HospitalNetwork()
        hospital = FakeHospital(network, {})
        network.add_data("north", "a")
        if runs_done:
            hospital.reconcile()
            hospital.finish_runs()
        hospital.poll_sites()
        loss = LeadershipLoss(hospital, writes)
        with monkeypatch.context() as patch:
            patch.setattr(network, "count_write", loss.write)
            try:
                hospital.reconciler.reconcile(KEY)
            except LeadershipLostError:
                stopped += 1
        assert loss.writes_after == 0, f"after write {writes}"
        if hospital.cluster.leads:  # it came to its end before
            break
        hospital.cluster.leads = True
        hospital.start_operator()
        hospital.run_update()
        assert hospital.states()["north"] == "Learned"
        assert len(hospital.backend.submitted) == 1
    assert stopped >= 2


def test_a_deleted_models_runs_are_not_ended_by_who_leads_no_more(
    network: HospitalNetwork, hospital: FakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.add_data("north", "a")
    hospital.reconcile()
    hospital.cluster.delete(hospital.model)
    list_runs = hospital.backend.runs

    def list_and_lose_leadership(prefix: str) -> tuple[Run, ...]:
        hospital.cluster.leads = False
        return list_runs(prefix)

    monkeypatch.setattr(hospital.backend, "runs", list_and_lose_leadership)
    with pytest.raises(LeadershipLostError):
        hospital.reconciler.reconcile(KEY)
    assert len(hospital.backend.live_runs) == 1
