"""The registry: the database protocol over mutual TLS, for API nodes without database credentials."""
