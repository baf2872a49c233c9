"""Kubeflow pipelines, compiled and committed, and the runner for one machine."""
