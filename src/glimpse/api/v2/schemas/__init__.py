"""The JSON schemas of images, members and tasks, as documents and for validation (images-api 2)."""
