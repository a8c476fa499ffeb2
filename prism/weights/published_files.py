"""Weight files that are fetched once: where they lie, which bytes they must be, and how they come there."""

import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from prism_bench.prism.engine.store import file_digest
from prism_bench.prism.errors import InputError

FOLDER_VARIABLE = "PRISM_BENCH_WEIGHTS"
"""A folder of weight files of the user's own, looked into first; nothing is written there."""
CACHE_VARIABLE = "PRISM_BENCH_CACHE"
_DIGESTS: dict[tuple[str, int, int], str] = {}


@dataclass(frozen=True)
class WeightFile:
    """A file of weights: its name, the published checksum (SHA-256, hex), and the address it is offered at."""

    file: str
    sha256: str
    url: str

    def at_hand(self) -> Path | None:
        """Where it lies; None where it has not been fetched. Its bytes are not looked at."""
        folder = own_folder()
        places = [cache_folder()] if folder is None else [folder, cache_folder()]
        return next((place / self.file for place in places if (place / self.file).is_file()), None)

    def path(self) -> Path:
        """The file with the published checksum, fetched into the cache where it is not here.

        A file appears in the cache whole and verified or not at all; of several processes one fetches.

        Raises:
            InputError: it is another file, or it cannot be fetched.
        """
        found = self.at_hand()
        if found is None:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{self.file}.lock"):
                found = self.at_hand() or self._fetch(folder / self.file)
        digest = file_digest(found)
        if digest != self.sha256:
            raise InputError(
                f"the weights {found} are not the published ones: expected sha256 {self.sha256}, found {digest}; "
                f"remove the file to have it fetched again from {self.url}"
            )
        return found

    def _fetch(self, target: Path) -> Path:
        from torch.hub import download_url_to_file

        try:
            # Written beside its target, checked, and renamed.
            download_url_to_file(self.url, str(target), hash_prefix=self.sha256, progress=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"the weights {self.file} are not here and could not be fetched from {self.url} ({error}); fetch them "
                f"where there is a network and put them into {target.parent}, or into the folder that "
                f"{FOLDER_VARIABLE} names"
            ) from None
        return target


def kept_digest(file: Path) -> str:
    """SHA-256 (hex) of a large file, computed once in a process for as long as the file stays as it is."""
    status = file.stat()
    stamp = (str(file), status.st_size, status.st_mtime_ns)
    if stamp not in _DIGESTS:
        _DIGESTS[stamp] = file_digest(file)
    return _DIGESTS[stamp]


def own_folder() -> Path | None:
    """The folder that the user names for weights; InputError where there is none of that name."""
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    if not Path(named).is_dir():
        raise InputError(f"{FOLDER_VARIABLE}={named}: no such folder; name the folder of the weight files or unset it")
    return Path(named)


def cache_folder() -> Path:
    """Where fetched weights are kept."""
    return user_cache("weights")


def user_cache(name: str) -> Path:
    """A folder for what can be had again: in PRISM_BENCH_CACHE, or in the user's cache folder."""
    home = os.environ.get(CACHE_VARIABLE)
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prism-bench"
    return base / name
