"""How the frame keeps what its columns hold."""

import pandas as pd

TEXT = pd.StringDtype("python")
"""Whatever is installed: comparisons of Arrow's strings answer in Arrow's booleans, which `&` refuses to join with
those of counts where either has nothing.
"""


def dtype_of(name: str) -> str | pd.StringDtype:
    """The dtype that a column's declaration names."""
    return TEXT if name == "string" else name
