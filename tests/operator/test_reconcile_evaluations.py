"""Scheduled evaluations."""

from datetime import timedelta

from toys.hospital import Hospital, Network, digest


def test_scheduled_evaluation_tells_scores_drift_and_forgetting(network: Network) -> None:
    evaluation = {"schedule": {"cron": "0 * * * *"}}
    hospital = Hospital(network, {"evaluation": evaluation})
    network.drop("north", "a")
    hospital.learn()
    assert not hospital.model.status.holds("Drifting")
    network.quality[digest("a")] = "0.3"
    network.now += timedelta(hours=1)
    hospital.learn()
    assert [name for name in hospital.backend.submitted if "evaluation" in name] == [
        "chest-evaluation-20261120t130000z-1"
    ]
    status = hospital.model.status
    assert status.holds("Drifting")
    assert status.holds("Forgetting")
    assert status.tasks[0].recent
    assert str(status.tasks[0].recent.value) == "0.3"
    assert status.evaluation.next == network.now.replace(hour=14)
    hospital.reconcile()
    assert len(hospital.backend.submitted) == 2


def test_an_evaluation_is_due_until_it_has_a_result(network: Network) -> None:
    hospital = Hospital(network, {"evaluation": {"schedule": {"cron": "0 * * * *"}}})
    network.drop("north", "a")
    hospital.learn()
    assert hospital.model.status.evaluation.next == network.now.replace(hour=13)
    network.now += timedelta(hours=1, minutes=30)
    hospital.reconcile()
    assert hospital.model.status.evaluation.next == network.now.replace(hour=13, minute=0)
    hospital.learn()
    assert hospital.model.status.evaluation.next == network.now.replace(hour=14, minute=0)
