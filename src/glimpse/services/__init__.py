"""One plain function for each use case, in the order authorise, check, change state, move bytes, record."""
