"""Named protocols: who asks, who trains and who answers in each data set.

>>> PROTOCOLS["cifar10"]["1k-5k"].sizes
'1,000 queries, 5,000 train, 59,000 database, mAP@1000'
"""

from datasets.protocols.protocol import Protocol_
from datasets.protocols.rules import Split
from datasets.protocols.table import PROTOCOLS

__all__ = ["PROTOCOLS", "Protocol_", "Split"]
