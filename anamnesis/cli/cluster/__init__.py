"""The commands' work on a cluster; only these modules talk to an API server."""
