"""Signals that end a command as Ctrl-C does."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def interruptible(signals: Sequence[signal.Signals] = (signal.SIGTERM,)) -> Iterator[None]:
    """A polite kill (SIGTERM, as batch systems send) is treated as Ctrl-C: workers save, MLflow is told."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, interrupt) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
