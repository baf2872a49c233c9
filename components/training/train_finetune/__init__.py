"""Holds the component ``train_finetune``."""
