"""Strict parsers of image formats, in addition to the library's: content that refers to another file, or makes a
program allocate or loop excessively, is refused under every ``disk_format``.

Each module reads one format like its most permissive reader. An upload of raw data imports none of them.
"""
