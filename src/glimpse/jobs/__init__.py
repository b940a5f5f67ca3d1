"""Jobs: work that outlives a request, with leases on unfinished operations and their recovery."""
