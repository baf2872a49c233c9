"""Kubeflow components, ``<category>/<name>/component.py`` each: thin functions that call a step and write artifacts."""
