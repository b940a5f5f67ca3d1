"""Glimpse: an image service for clouds."""

__version__ = "0.1.0"
