"""Holds the component ``train_acil``."""
