"""What an image service is about, free of HTTP, SQL and storage. Imports msgspec and the standard library only."""
