"""Holds the component ``train_lwf``."""
