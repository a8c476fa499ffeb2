"""Moments of a reference's features as clean-fid, pytorch-fid and EDM save them: an .npz of `mu` and `sigma`."""

import zlib
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from prism_bench.prism.errors import InputError
from prism_bench.prism.metrics.frechet import Moments, factor_of_covariance

CLOSE = 1e-5
"""How far, relative to the largest entry, a covariance may be from symmetric, or from what its factor makes."""


def saved_moments(path: Path) -> Moments | None:
    """The moments in a file, for `frechet_of`; None for what is no .npz with `mu` or `sigma` in it.

    Raises:
        InputError: it has no `sigma` or no `mu`, or they are no mean float [d] and covariance float [d, d].
    """
    if not path.is_file() or not is_zipfile(path):
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in ("mu", "sigma") if name in getattr(arrays, "files", ())}
    except (BadZipFile, zlib.error, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path}: its statistics cannot be read ({error}); make the file anew") from None
    if not held:
        return None
    shapes = ", ".join(f"{name} {array.dtype} {list(array.shape)}" for name, array in held.items())
    if len(held) < 2 or held["mu"].ndim != 1 or held["sigma"].shape != (len(held["mu"]),) * 2:
        raise InputError(f"{path} holds {shapes}; statistics are mu [d] and sigma [d, d]")
    if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in held.values()):
        raise InputError(f"{path} holds {shapes}; statistics are floating-point numbers, all finite")
    mu, sigma = (held[name].astype(np.float64) for name in ("mu", "sigma"))
    allowed = CLOSE * np.abs(sigma).max()
    if np.abs(sigma - sigma.T).max() > allowed:
        raise InputError(f"{path}: its sigma is not symmetric, so it is no covariance; make the file anew")
    factor = factor_of_covariance(sigma)
    if np.abs(factor @ factor.T - sigma).max() > allowed:
        raise InputError(f"{path}: its sigma has negative eigenvalues, so it is no covariance; make the file anew")
    return Moments(mu, factor.T)
