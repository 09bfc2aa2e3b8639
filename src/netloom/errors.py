"""What can go wrong, as types: one line for a person, an exit code for a script.

Every error netloom raises on purpose is a `NetloomError`; each is also the built-in type scikit-learn and Python users expect.
The message is one line: where, what is wrong, and the way out.
"""

__all__ = ["BudgetError", "ColumnTypeError", "ConfigError", "DataError", "FileError", "NetloomError", "NotWovenError", "ToolkitError"]


class NetloomError(Exception):
    """Root of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class DataError(NetloomError, ValueError):
    """A table, target or weight that cannot be used as it is."""

    exit_code = 3


class ColumnTypeError(DataError, TypeError):
    """A column that holds a kind of value no network can read (nested lists, complex numbers)."""


class ConfigError(NetloomError, ValueError):
    """An option or setting that is impossible or unknown."""

    exit_code = 2


class BudgetError(ConfigError):
    """A budget in which no network fits."""


class FileError(NetloomError, ValueError):
    """A file that is not what it should be: cut, forged, oversized, newer, or gone."""

    exit_code = 4


class NotWovenError(NetloomError, RuntimeError):
    """Weights that became non-finite, or a loom whose weights do not fit its shape."""

    exit_code = 5


class ToolkitError(NetloomError, ValueError):
    """A module that cannot be a target, or generated parameters and inputs that do not fit it."""
