"""Anamnesis keeps a medical-imaging model learning as hospitals send data, without forgetting what it knew."""

__version__ = "0.1.0"
