"""Slow and obvious twins of fast code."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def neighbours(vectors: Array, gallery: list[int], k: int, *, exclude_self: bool = False) -> list[list[int]]:
    """For each row, the k nearest gallery ids by l2, ties by id, by sorting a Python list."""
    found = []
    for query, vector in enumerate(vectors):
        rated = []
        for candidate in gallery:
            if exclude_self and candidate == query:
                continue
            rated.append((float(((vector - vectors[candidate]) ** 2).sum()), candidate))
        found.append([candidate for _, candidate in sorted(rated)[:k]])
    return found


def attention(q: Array, k: Array, v: Array, heads: int, allowed: list[bool]) -> Array:
    """Multihead attention by loops: q [n, w], k and v [m, w] -> [n, w]; keys not allowed get no weight."""
    width = q.shape[1] // heads
    out = np.zeros_like(q)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for row in range(len(q)):
            scores = [
                math.exp(float(q[row, part] @ k[column, part]) / math.sqrt(width)) if ok else 0.0
                for column, ok in enumerate(allowed)
            ]
            for column, score in enumerate(scores):
                out[row, part] += score / sum(scores) * v[column, part]
    return out
