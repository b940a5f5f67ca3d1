"""The JSON schemas of images, members and tasks, as documents and as checks (spec 01, section 2)."""
