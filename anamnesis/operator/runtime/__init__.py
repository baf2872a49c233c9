"""The operator's process: watches, work queue, workers, leader election, health and logs. It makes no decisions."""
