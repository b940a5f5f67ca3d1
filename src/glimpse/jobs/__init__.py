"""Work that outlives a request: leases on unfinished operations, and their recovery."""
