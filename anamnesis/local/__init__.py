"""Local mode: the same plan on one machine, where the person at the command line is the trigger."""
