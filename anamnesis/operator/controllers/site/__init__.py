"""The controller of Sites: polls their sources and reports their state."""
