"""Numbers that others can check: records in one file, and what comes out when they are made again.

>>> from benchmarks.publish import About, Bundle, read_bundle, write_bundle
>>> About(author="A. Author", licence="CC-BY-4.0").author
'A. Author'
"""

from benchmarks.publish.bundle import About, Bundle, BundleError, Item, read_bundle, write_bundle

__all__ = ["About", "Bundle", "BundleError", "Item", "read_bundle", "write_bundle"]
