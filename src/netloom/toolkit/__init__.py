"""Hypernetworks for any PyTorch module: torch only, stands alone. Read in this order:

`target` (a module whose parameters come from outside), `slots` (which), `check` and `kept` (at the door; what is not checked twice),
`paths` and `trial` (how B networks run at once), `fused/` (layers), `generators/` (condition -> parameters), `conditioning/` (task ->
condition), `hypernetwork` (all three), `initialise` and `diagnose`, `heads/` (solved, not generated).
"""

from netloom.errors import ToolkitError
from netloom.toolkit import conditioning, generators, heads, initialise
from netloom.toolkit.diagnose import Diagnosis, diagnose
from netloom.toolkit.hypernetwork import HyperNetwork
from netloom.toolkit.target import Target, hypernetize

__all__ = [
    "Diagnosis",
    "HyperNetwork",
    "Target",
    "ToolkitError",
    "conditioning",
    "diagnose",
    "generators",
    "heads",
    "hypernetize",
    "initialise",
]
