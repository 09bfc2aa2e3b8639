"""Hypernetworks for any PyTorch module: torch only, stands alone. Read in this order:

`target` (a module whose parameters come from outside), `slots` (which), `check` and `kept` (at the door; what is not checked twice),
`chain` (linear layers and activations), `paths` and `trial` (how B networks of anything else run at once), `fused/` (layers),
`generators/` (condition -> parameters), `conditioning/` (task -> condition), `hypernetwork` (all three), `initialise` and `diagnose`,
`heads/` (solved, not generated); `adamw`, which no compiler comes with, is what netloom itself trains with.
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
