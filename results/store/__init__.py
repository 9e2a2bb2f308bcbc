"""Finished cells on disk: records, their arrays, leases, and the grid that was planned.

>>> from pathlib import Path
>>> ResultStore(Path("nowhere")).records()
[]
"""

from results.store.record import SCHEMA, Failure, RunRecord
from results.store.scan import Scan
from results.store.store import ResultStore, StoreError

__all__ = ["SCHEMA", "Failure", "ResultStore", "RunRecord", "Scan", "StoreError"]
