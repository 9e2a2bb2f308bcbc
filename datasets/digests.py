"""Digests of tensors: what identifies labels, rows and images on any machine."""

from __future__ import annotations

import hashlib

from torch import Tensor


def tensor_digest(*tensors: Tensor) -> str:
    """SHA-256 over type, shape and bytes of tensors, 64 hexadecimal digits.

    Examples
    --------
    >>> tensor_digest(torch.zeros(2, dtype=torch.uint8))[:16]
    '56f5278aa55a55f9'
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
