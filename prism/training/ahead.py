"""The input of the next step while this one runs."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def one_ahead(items: Iterator[T], device: torch.device) -> Generator[T, None, None]:
    """The same items in the same order, each made by a thread while the one before it is in use.

    Close it, so that the thread ends; what the making of an item raises comes in its place.
    """
    arguments = (torch.get_num_threads(), device)
    with ThreadPoolExecutor(1, initializer=_as_this_thread, initargs=arguments) as background:
        coming = background.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = background.submit(next, items, None)
            yield item


def _as_this_thread(threads: int, device: torch.device) -> None:
    """A thread begins with a number of threads of its own, and on the first GPU."""
    torch.set_num_threads(threads)
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)
