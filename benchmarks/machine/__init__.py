"""The machine under a run: its device and versions, its memory, and limits of time.

>>> environment("cpu").device
device(type='cpu')
"""

from benchmarks.machine.environment import DeviceError, Environment, environment

__all__ = ["DeviceError", "Environment", "environment"]
