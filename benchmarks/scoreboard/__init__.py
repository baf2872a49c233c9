"""Every method over the same sequences of sites, with the same budget: one result file a run, one page of all."""
