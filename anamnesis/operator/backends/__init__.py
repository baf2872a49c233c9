"""Back ends that run pipelines for the operator: processes on this machine, or Kubeflow Pipelines."""
