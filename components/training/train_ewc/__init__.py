"""Holds the component ``train_ewc``."""
