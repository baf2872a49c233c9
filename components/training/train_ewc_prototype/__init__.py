"""Holds the component ``train_ewc_prototype``."""
