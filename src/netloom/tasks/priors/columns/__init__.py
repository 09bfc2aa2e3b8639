"""What tables make of columns: layout.py (what each becomes), warp.py, categories.py, missing.py, table.py (all put together)."""

from netloom.tasks.priors.columns.layout import Layout, Source, draw_layout
from netloom.tasks.priors.columns.table import encode, fill_in
from netloom.tasks.priors.columns.warp import warp

__all__ = ["Layout", "Source", "draw_layout", "encode", "fill_in", "warp"]
