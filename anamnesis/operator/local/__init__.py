"""Local mode: the same plan on a laptop, where a person at the command line is the trigger."""
