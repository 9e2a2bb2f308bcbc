"""The plainest counters that can be right: what the fast ones are held against."""

import numpy as np


def count_numpy(query, query_labels, codes, labels):
    """Count with one comparison a query; arguments and results are those of `count_numba`."""
    q, q_labels, b, b_labels = (x.unpack() for x in (query, query_labels, codes, labels))
    items = np.zeros((len(q), q.shape[1] + 1), np.int64)
    relevant = np.zeros_like(items)
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        related = (q_labels[i] & b_labels).any(axis=1)
        items[i] = np.bincount(distance, minlength=items.shape[1])
        relevant[i] = np.bincount(distance[related], minlength=items.shape[1])
    return items, relevant


def gain_numpy(query, codes, query_set, item_set, table):
    """Sum the gain per Hamming distance; arguments and result are those of `gain_numba`."""
    q, b = query.unpack(), codes.unpack()
    total = np.zeros((len(q), q.shape[1] + 1))
    for i in range(len(q)):
        distance = (q[i] != b).sum(axis=1)
        total[i] = np.bincount(distance, table[query_set[i], item_set], minlength=total.shape[1])
    return total
