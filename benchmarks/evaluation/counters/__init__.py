"""Counters of items, relevant items and gains by Hamming distance, one for each kind of device."""
