"""Holds the component ``train_derpp``."""
