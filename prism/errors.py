"""The two kinds of failure a user can meet. Every message names the value, the rule and the remedy."""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

_SECRETS = (
    (re.compile(r"(://[^:/@\s]*:)\S*@"), r"\1***@"),
    (re.compile(r"([?&]\w*(?:passw|pwd|secret|token)\w*=)[^&\s'\"]+", re.IGNORECASE), r"\1***"),
)


def without_passwords(text: str) -> str:
    """The same text with `***` for the passwords of the addresses in it."""
    for pattern, hidden in _SECRETS:
        text = pattern.sub(hidden, text)
    return text


class _Message(Exception):
    """A message that people see, keep and pass on."""

    def __init__(self, message: object = "") -> None:
        super().__init__(without_passwords(str(message)))


class InputError(_Message, ValueError):
    """What was asked cannot be done as asked; the command line answers with exit code 2."""


class ComputeError(_Message, RuntimeError):
    """A stage failed while running; its cells are marked failed, the others go on, exit code 1."""


def closest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the likeliest meant word, or all known ones where none is near."""
    names = sorted(known)
    near = get_close_matches(word, names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"


def first_line(error: BaseException) -> str:
    """What an error of another library says first, for a message of ours; its kind where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # "Error(s) in loading state_dict for CLIP:" says nothing without the line below it.
    return without_passwords(" ".join(lines[:2] if lines[0].endswith(":") else lines[:1]))[:240]


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
_FULL_WORDS = re.compile("no space left on device|disk is full|disk quota exceeded", re.IGNORECASE)
_MEMORY_WORDS = re.compile(
    "can't allocate memory|cannot allocate memory|out of memory|can't start new thread|failed to map segment"
    "|unable to allocate",
    re.IGNORECASE,
)
_MEMORY = (
    "try fewer --workers, a smaller --resolution, a smaller network or batch (--set), or a machine with more memory"
)


def machine_fault(error: BaseException, folder: str = "") -> InputError | ComputeError | None:
    """The message for an error that lies with the machine: a disk that is full or read-only, too little memory.

    folder: where the work lies, for errors that name no file. None for every other error: a fault of ours.
    """
    for cause in _causes(error):
        where = _place(cause, folder)
        code = cause.errno if isinstance(cause, OSError) else None
        if is_full(cause):
            return ComputeError(f"the disk that holds {where} is full; free space and type the same command again")
        if isinstance(cause, MemoryError) or code == errno.ENOMEM or _MEMORY_WORDS.search(str(cause)):
            return ComputeError(f"the memory was not enough ({first_line(cause)}); {_MEMORY}")
        if code in (errno.EMFILE, errno.ENFILE):
            return ComputeError(
                f"too many files are open ({where}); raise the limit (ulimit -n) or try fewer --workers"
            )
        if code == errno.EIO:
            return ComputeError(f"the disk that holds {where} answers with an input/output error; look at the disk")
        if code in _REFUSED:
            return InputError(
                f"{where} cannot be used ({os.strerror(code or 0)}); free its permissions, or name another place with "
                "--out or --store"
            )
    return None


def is_full(error: BaseException) -> bool:
    """Whether it says that a disk, or what somebody may use of it, is full."""
    return (isinstance(error, OSError) and error.errno in _FULL) or _FULL_WORDS.search(str(error)) is not None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on; libraries wrap those of the system in their own."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _place(error: BaseException, folder: str) -> str:
    named = [error.filename2, error.filename] if isinstance(error, OSError) else []
    return next(
        (os.fsdecode(name) for name in named if isinstance(name, str | bytes)),
        folder or "what is written (the output, the store, --out)",
    )


def program_ended(error: SystemExit) -> InputError:
    """The message for `sys.exit` amid the work: a plug-in must not end the program with a code of its own."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name != "exit":  # what some libraries put in the place of sys.exit
            place = f"{code.co_filename}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return InputError(f"sys.exit({error.code!r}) was called in {place}; code that a plug-in brings must raise an error")
