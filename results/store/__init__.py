"""The records of runs on disk: where each lies, how it is written, read and checked.

A run has a key, its names, and an address, the key with the digest of all that shaped its number.
By its address the store finds the run's record, its arrays, the lease of whoever works on it, and
the checkpoint of a training that goes on. The cells of the last grid are kept too.

>>> from pathlib import Path
>>> store = ResultStore(Path("nowhere"))
>>> address = Address("digits", "300-1497", "pixels", "lsh", 16, 0, digest="ab" * 32)
>>> store.has(address), store.locate(address).name
(False, '16-0-abababab.json')
"""

from results.store.record import SCHEMA, Failure, RunRecord
from results.store.run_key import Address, RunKey
from results.store.scan import Scan
from results.store.store import ResultStore, StoreError

__all__ = [
    "SCHEMA",
    "Address",
    "Failure",
    "ResultStore",
    "RunKey",
    "RunRecord",
    "Scan",
    "StoreError",
]
