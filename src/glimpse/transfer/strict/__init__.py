"""A strict reading of image formats, beside the library's: what names another file, or makes a reader allocate or loop
beyond reason, is refused whatever the image's ``disk_format`` is.

Each module reads one format as its most permissive reader does. An upload of raw data imports none of them.
"""
