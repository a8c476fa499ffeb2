"""The class of a picture by the folders that it lies in.

Going down from the top, a level of folders is passed over where all pictures share one folder, where the folders are
the parts of a split (train, val, test ...) or numbered shards; the first level that is left names the classes. Where
some picture lies in no folder there, all belong to one class.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

ONE_CLASS = "all"
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval"})
SHARD = re.compile(r"\d{3,}")
SHOWN = 3


class Labelling(NamedTuple):
    """The class of each picture, and what the user should know of how it was found."""

    groups: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def by_folders(names: Sequence[str]) -> Labelling:
    """The class of each name, with forward slashes, in NFC (archives made on macOS are not)."""
    paths = [PurePosixPath(unicodedata.normalize("NFC", name)) for name in names]
    remarks: list[str] = []
    level = 0
    while True:
        strays = [path for path in paths if len(path.parts) == level + 1]
        if len(strays) == len(paths):
            return Labelling((ONE_CLASS,) * len(paths), tuple(remarks))
        if strays:
            lie = "1 picture lies" if len(strays) == 1 else f"{len(strays):,} pictures lie"
            beside = f"{lie} beside the folders of the others ({strays[0]}): all are one class"
            return Labelling((ONE_CLASS,) * len(paths), (*remarks, beside))
        folders = sorted({path.parts[level] for path in paths})
        why = _no_classes(folders, level, paths)
        if why is None:
            return Labelling(tuple(path.parts[level] for path in paths), tuple(remarks))
        if why:
            more = ", ..." if len(folders) > SHOWN else ""
            remarks.append(f"{', '.join(folders[:SHOWN])}{more} are {why}, no classes")
        level += 1


def _no_classes(folders: Sequence[str], level: int, paths: Sequence[PurePosixPath]) -> str | None:
    """What the folders of a level are, if not classes; "" for one that all share, None for classes.

    A single `train` among other names is the vehicle.
    """
    if len(folders) == 1:
        return ""
    splits = sum(folder.lower() in SPLITS for folder in folders)
    if splits > 1:
        return "parts of a split"
    return "numbered shards" if _are_shards(folders, level, paths) else None


def _are_shards(folders: Sequence[str], level: int, paths: Sequence[PurePosixPath]) -> bool:
    """Whether the pictures are numbered through all the folders, as 00000/img00000000.png: those of classes restart."""
    if not all(SHARD.fullmatch(folder) for folder in folders):
        return False
    numbers: dict[str, list[int]] = {folder: [] for folder in folders}
    for path in paths:
        runs = re.findall(r"\d+", path.stem)
        if not runs:
            return False
        numbers[path.parts[level]].append(int(runs[-1]))
    ordered = [numbers[folder] for folder in sorted(folders, key=int)]
    return all(max(one) < min(other) for one, other in pairwise(ordered))
