"""Uploads an exported folder to the Hugging Face Hub, or to a server that speaks as it does."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from prism_bench.prism.errors import ComputeError, InputError, first_line

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"


class Target(NamedTuple):
    """Where to: a repository USER/NAME, the Hub's address (None: its own), who may see a new repository, the token."""

    repository: str
    endpoint: str | None
    public: bool
    token: str


def target_of(repository: str, endpoint: str | None, *, public: bool) -> Target:
    """The target, checked as far as it can be before anything is written.

    Raises:
        InputError: huggingface_hub is not installed, the name is none, an address is none, or nobody is logged in.
    """
    try:
        from huggingface_hub import get_token
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
    except ImportError:
        raise InputError('--push needs the package huggingface_hub: pip install "prism-bench[hub]"') from None
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise InputError(f"--push {repository}: {first_line(error)}") from None
    if repository.count("/") != 1:
        raise InputError(f"--push {repository}: name a repository as USER/NAME")
    if endpoint is not None and not re.match(r"https?://[^/\s]+(/\S*)?$", endpoint):
        raise InputError(f"--endpoint {endpoint} is no address; give https://HOST")
    token = get_token()
    if not token:
        raise InputError(f"--push {repository}: nobody is logged in to the Hub here; {LOG_IN}")
    return Target(repository, endpoint, public, token)


def push(folder: Path, names: Iterable[str], target: Target) -> str:
    """Upload these files of the folder in one commit, to a repository that is made where there is none; its address.

    Raises:
        InputError: the Hub refuses: the token, or what it may do.
        ComputeError: it cannot be reached, or failed.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # What its errors of the network come from: a class of the HTTP library that this version of it uses.
    network: type[Exception] = HfHubHTTPError.__bases__[0]
    api = HfApi(endpoint=target.endpoint, token=target.token, library_name="prism-bench")
    kept = f"the folder {folder} is written and whole"
    try:
        made = api.create_repo(target.repository, private=not target.public, exist_ok=True)
        api.upload_folder(
            repo_id=target.repository,
            folder_path=folder,
            allow_patterns=list(names),
            commit_message="A trained method, exported by prism-bench",
        )
    except HfHubHTTPError as error:
        code = error.response.status_code
        said = f"--push {target.repository}: the Hub answers {code} ({_said(error)}); {kept}"
        if code in (401, 403):
            raise InputError(f"{said}; {LOG_IN} to {target.repository}") from None
        raise (InputError if 400 <= code < 500 else ComputeError)(said) from None
    except ValueError as error:  # a fault that the Hub finds with the front matter of the card
        raise InputError(f"--push {target.repository}: {first_line(error)}; {kept}") from None
    except (network, OSError) as error:
        raise ComputeError(
            f"--push {target.repository}: {api.endpoint} cannot be reached ({first_line(error)}); {kept}, type the "
            "same command with --force to try again"
        ) from None
    return str(made)


def _said(error: "HfHubHTTPError") -> str:
    return error.server_message or first_line(error)
