"""What carries out a plan: the local runner here; Kubeflow on a cluster."""
