"""The commit of the user's project."""

import subprocess
from pathlib import Path

PATIENCE = 10.0
"""Seconds for git; where it takes longer, or is not there, nothing is known."""


def project_commit(folder: Path | None = None) -> str | None:
    """The commit of the git repository that a folder (default: the working directory) lies in; None outside of any.

    The words "with changes" follow where files that git follows are otherwise than in the commit.
    """
    head = _git(["rev-parse", "--verify", "HEAD"], folder)
    if head is None or head.returncode:
        return None
    changed = _git(["status", "--porcelain", "--untracked-files=no"], folder)
    return head.stdout.strip() + (" with changes" if changed is not None and changed.stdout.strip() else "")


def _git(words: list[str], folder: Path | None) -> "subprocess.CompletedProcess[str] | None":
    command = ["git", "--no-optional-locks", *words]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
