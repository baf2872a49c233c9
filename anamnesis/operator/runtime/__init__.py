"""The controller process: watches, a queue of keys, workers, one leader, health, logs. It decides nothing."""
