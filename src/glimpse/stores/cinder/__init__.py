"""Store ``cinder``: each image in a volume of the Block Storage service (store-formats 9)."""
