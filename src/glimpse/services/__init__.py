"""One plain function for each use case, with the steps in order: authorise, check, change state, move bytes, record."""
