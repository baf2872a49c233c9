"""Holds the component ``train_joint``."""
