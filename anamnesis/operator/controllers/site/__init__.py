"""The controller of Sites: polls their sources."""
