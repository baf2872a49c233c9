"""Classifier heads: refitting the linear head, routing between tasks."""
