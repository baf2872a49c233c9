"""One ContinualModel on a run_on_cluster: read what is there, plan, carry out, tell."""
