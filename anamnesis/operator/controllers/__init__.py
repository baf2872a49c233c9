"""The controllers: one package for each kind, all of one shape (controller, state, conditions)."""
