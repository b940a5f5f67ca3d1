"""The domain of an image service, without HTTP, SQL and storage. Imports only msgspec and the standard library."""
