"""Staging: data of images that were sent and wait for their import (imports-and-stores 2.2)."""
