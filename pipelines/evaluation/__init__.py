"""Pipelines that judge."""
