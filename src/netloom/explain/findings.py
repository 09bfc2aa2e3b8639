"""One warning: what kind, about which column, in one sentence with its numbers and the way out."""

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Finding", "findings_from"]


@dataclass(frozen=True)
class Finding:
    """``what``: "id", "leak", "repeated", "drift", "unlike", "baseline" or "dominant"; ``column`` may be empty."""

    what: str
    column: str
    says: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def findings_from(stored: Any) -> list[Finding]:
    """Findings kept in a network's metrics; whatever does not look like one is left out, as files may be forged."""
    if not isinstance(stored, list):
        return []
    keys = {"what", "column", "says"}
    fits = [entry for entry in stored if isinstance(entry, dict) and set(entry) == keys and all(isinstance(v, str) for v in entry.values())]
    return [Finding(**entry) for entry in fits]
