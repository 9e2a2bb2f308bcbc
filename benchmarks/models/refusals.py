"""Errors of hashing and searching whose message is one line meant for the user."""

from benchmarks.machine.environment import DeviceError
from benchmarks.models.config import ModelError
from datasets.errors import DatasetError

USER_ERRORS = (ModelError, DatasetError, DeviceError)
