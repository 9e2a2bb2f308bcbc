"""Binary indexes of faiss, by kind and made for a number of codes.

=============  ====================================================================================
``flat``       all codes are compared
``hnsw``       a graph of near neighbours, walked from node to node (Malkov and Yashunin, PAMI 2020)
``ivf``        lists of the codes nearest to each of about sqrt(N) centres, few of which are read
``multihash``  tables by parts of the code, read at all keys within few flipped bits (Norouzi et
               al., "Fast search in Hamming space with multi-index hashing", CVPR 2012)
=============  ====================================================================================
"""

from __future__ import annotations

import math
from typing import Any

LINKS = 32
"""Of a node of the graph."""
MOST_KEY_BITS = 16
"""Of a hash table; a key of log2(N) bits has about one code a bucket."""


def binary_index(kind: str, width: int, n: int) -> Any:
    """Return an empty index, to be trained with the codes where it asks for that.

    Parameters
    ----------
    kind : "flat", "hnsw", "ivf" or "multihash"
    width : int
        Of a code, in bits; a multiple of 8.
    n : int
        Codes that it will hold.
    """
    import faiss

    if kind == "flat":
        return faiss.IndexBinaryFlat(width)
    if kind == "hnsw":
        return faiss.IndexBinaryHNSW(width, LINKS)
    if kind == "ivf":
        return faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(width), width, max(1, math.isqrt(n)))
    bits = min(MOST_KEY_BITS, width, max(8, round(math.log2(max(n, 1)))))
    index = faiss.IndexBinaryMultiHash(width, width // bits, bits)
    index.nflip = 2
    return index
