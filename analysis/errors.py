"""The one kind of failure of this package."""


class AnalysisError(ValueError):
    """Records, a plan or a request that no honest table can be made of; the message names the file or the value."""


class NewerSchemaError(AnalysisError):
    """A file of a newer program: to be refused, never taken for a damaged one and made anew."""
