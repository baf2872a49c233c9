"""Commands on a cluster; only these modules of the command line call an API server."""
