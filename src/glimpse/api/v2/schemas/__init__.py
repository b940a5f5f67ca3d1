"""The JSON schemas of images, members and tasks, as documents and as checks (images-api 2)."""
