"""Kubeflow pipelines, compiled and committed, and the runner that runs them on one machine."""
