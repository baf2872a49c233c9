"""All methods over the same sequences of sites, with the same budget: one results file a sequence, and one page."""
