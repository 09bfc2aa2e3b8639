"""Hypernetworks for any PyTorch module: torch only, stands alone. Read in this order:

`target` (a module whose parameters come from outside), `slots` (which), `paths` and `trial` (how B networks run at once), `fused/` (layers),
`generators/` (condition -> parameters), `conditioning/` (task -> condition), `initialise` and `diagnose`, `heads/` (solved, not generated).
"""

from netloom.errors import ToolkitError
from netloom.toolkit import conditioning, generators, heads
from netloom.toolkit.target import Target, hypernetize

__all__ = ["Target", "ToolkitError", "conditioning", "generators", "heads", "hypernetize"]
