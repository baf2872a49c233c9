"""Holds the component ``train_frozen_ridge``."""
