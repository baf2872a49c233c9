"""What carries out a plan: the local runner here; Kubeflow on a run_on_cluster."""
