"""The commands' work on a run_on_cluster; only these modules talk to an API server."""
