"""The controller of UpdateApprovals: it writes the decisions of people to the log, before anything else."""
