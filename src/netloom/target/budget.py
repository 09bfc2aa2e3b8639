"""What a network may cost."""

from dataclasses import dataclass

from netloom.errors import BudgetError

__all__ = ["USUAL_BYTES", "Budget", "default_budget"]

USUAL_BYTES = 96_000
DESCRIPTION = 10_000  # bytes of schema and names that fit in the default budget


@dataclass(frozen=True)
class Budget:
    """Limits on the woven network; None means no limit.

    Parameters
    ----------
    max_parameters : numbers in the network, all counted
    max_bytes : size of the saved file; the usual 96 kB grow where the preparation needs more, any other limit is kept or refused
    max_seconds : time for the whole fit on one thread, a goal: choosing stops early, and the best network so far is solved and returned

    Raises
    ------
    BudgetError : if a limit is not positive
    """

    max_parameters: int | None = None
    max_bytes: int | None = USUAL_BYTES
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_parameters", "max_bytes", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BudgetError(f"budget {name} = {value}: must be above 0, or None for no limit")


def default_budget(description: int) -> Budget:
    """The default limits, grown by what a long description (of a thousand columns, say) takes beyond the usual."""
    return Budget(max_bytes=USUAL_BYTES + max(0, description - DESCRIPTION))
