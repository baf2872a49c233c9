"""Stand-ins for servers, clusters and pods that several tests share."""
