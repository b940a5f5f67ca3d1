"""Content of images whose container format is not ``bare``: what a reader would take for a disk in it.

The stream itself, the members of a tar archive and what is compressed are read as ``glimpse.transfer.strict`` reads a
bare image. Nothing is unpacked to a file; memory and work are bounded. A bare upload imports none of this.
"""
