"""A process that loses its leadership in the middle of its work stops at once, and the next one loses nothing."""

from dataclasses import dataclass

import pytest
from toys.hospital import Hospital, Network

from anamnesis.operator.backends.base import Run
from anamnesis.operator.runtime.cluster import LeadershipLostError
from anamnesis.operator.runtime.reconcile_key import Key

KEY = Key("ContinualModel", "hospital", "chest")


@dataclass
class Lost:
    """Leadership that goes with a write, by whichever way; it counts what is written afterwards."""

    hospital: Hospital
    left: int
    after: int = 0

    def write(self) -> None:
        self.after += not self.hospital.cluster.leads
        self.left -= 1
        if self.left == 0:
            self.hospital.cluster.leads = False


@pytest.mark.parametrize("runs_done", [False, True], ids=["beginning", "deciding"])
def test_nothing_is_written_anywhere_after_leadership_was_lost(
    monkeypatch: pytest.MonkeyPatch, runs_done: bool
) -> None:
    stopped = 0
    for writes in range(1, 30):
        network = Network()
        hospital = Hospital(network, {})
        network.drop("north", "a")
        if runs_done:
            hospital.reconcile()
            hospital.work()
        hospital.look()
        lost = Lost(hospital, writes)
        with monkeypatch.context() as patch:
            patch.setattr(network, "write", lost.write)
            try:
                hospital.reconciler.reconcile(KEY)
            except LeadershipLostError:
                stopped += 1
        assert lost.after == 0, f"after write {writes}"
        if hospital.cluster.leads:  # it came to its end before
            break
        hospital.cluster.leads = True
        hospital.start()
        hospital.learn()
        assert hospital.states()["north"] == "Learned"
        assert len(hospital.backend.submitted) == 1
    assert stopped >= 3


def test_a_deleted_models_runs_are_not_ended_by_who_leads_no_more(
    network: Network, hospital: Hospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.drop("north", "a")
    hospital.reconcile()
    hospital.cluster.delete(hospital.model)
    listed = hospital.backend.runs

    def last_look(prefix: str) -> tuple[Run, ...]:
        hospital.cluster.leads = False
        return listed(prefix)

    monkeypatch.setattr(hospital.backend, "runs", last_look)
    with pytest.raises(LeadershipLostError):
        hospital.reconciler.reconcile(KEY)
    assert len(hospital.backend.live) == 1
