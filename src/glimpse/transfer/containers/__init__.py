"""Inspection of images whose container format is not ``bare``: finds the disks in them.

The stream itself, the members of tar archives and compressed content are inspected as ``glimpse.transfer.strict``
inspects a bare image. Nothing is unpacked to a file; memory and work are bounded. A bare upload does not import this
package.
"""
