"""Samples as files: one picture, a folder of pictures, or an .npz that `--data` reads again."""

from pathlib import Path
from typing import Any

import numpy as np

from prism_bench.prism.data.split import Ids
from prism_bench.prism.engine.runtime import whole_file, write_bytes
from prism_bench.prism.errors import InputError
from prism_bench.prism.images import Pixels, grid, png

COLUMNS = 8
ENDINGS = (".png", ".npz")


def check_out(out: Path, *, force: bool) -> None:
    """InputError where the output is there already, or of a kind that is not written."""
    if out.suffix and out.suffix not in ENDINGS:
        raise InputError(f"--out {out}: {out.suffix} is not written; end it with .png or .npz, or name a folder")
    if not force and (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        raise InputError(f"--out {out} is there already; name another, or write over it with --force")


def write_samples(
    images: Pixels, queries: Pixels | None, query_ids: Ids | None, facts: dict[str, Any], out: Path
) -> Path:
    """Write uint8 [n, 3, R, R] to `out`.

    A .png is a grid, each row of samples below the pictures that guided it. An .npz holds images [n, R, R, 3], the ids
    of the pseudo-queries where they are images of X, and the facts. Anything else is a folder of 000000.png, ...
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".png":
        write_bytes(out, png(grid(_interleaved(images, queries), COLUMNS, scale=max(1, 64 // images.shape[-1]))))
    elif out.suffix == ".npz":
        known = {} if query_ids is None else {"pseudo_queries": query_ids}
        with whole_file(out) as file:
            arrays: dict[str, Any] = {"images": np.asarray(images).transpose(0, 2, 3, 1), **known, **facts}
            np.savez(file, **arrays)
    else:
        _write_folder(images, out)
    return out.absolute()


def _write_folder(images: Pixels, out: Path) -> None:
    """One picture a file; a folder that cannot be filled is left without any of them, so that it may be tried again.

    Pictures of an earlier call that had more of them go: what is measured of the folder is of these samples alone.
    """
    paths = [out / f"{index:06d}.png" for index in range(len(images))]
    out.mkdir(exist_ok=True)
    for path in {*out.glob(f"{'[0-9]' * 6}.png")} - {*paths}:
        path.unlink()
    try:
        for path, image in zip(paths, images, strict=True):
            write_bytes(path, png(np.asarray(image).transpose(1, 2, 0)))
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise


def _interleaved(images: Pixels, queries: Pixels | None) -> Pixels:
    if queries is None:
        return np.asarray(images)
    rows = []
    for start in range(0, len(images), COLUMNS):
        for kind in (queries, images):
            row = np.asarray(kind[start : start + COLUMNS])
            white = np.full((COLUMNS - len(row), *row.shape[1:]), 255, np.uint8)
            rows.append(np.concatenate([row, white]))
    return np.concatenate(rows)
