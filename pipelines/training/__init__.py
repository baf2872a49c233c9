"""Pipelines that make new versions."""
