"""Imports go one way: a folder imports only from those named before it. Local imports count too."""

import ast
from pathlib import Path

import pytest

import netloom

LAYERS = ["errors", "threads", "toolkit", "tasks", "target", "explain", "report", "loom", "refine"]
LAYERS += ["training", "export", "applications", "estimators", "evaluate", "cli"]
# The design gives a woven network methods that hand it over (`network.to_onnx`). They import what comes later when they are called, and
# nowhere else is an upward import allowed: docs/decisions/0020-export-plan.md
HAND_OVER = {"target/network.py": {"export"}}
ROOT = Path(netloom.__file__).parent


def imported(path):
    """Layers that the file imports, as (line, layer); anything else from netloom's root counts as itself."""
    package = ["netloom", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names = [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
        for parts in (name.split(".") for name in names):
            if parts[0] == "netloom":
                yield node.lineno, parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_only_from_those_before_it(path):
    layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if layer == "__init__":
        return  # the root only names what others hold, lazily
    assert layer in LAYERS, f"{layer}: not in the order of layers"
    allowed = {"__version__", *LAYERS[: LAYERS.index(layer) + 1]}
    allowed |= HAND_OVER.get(path.relative_to(ROOT).as_posix(), set())
    wrong = [f"line {line}: {name or 'netloom'}" for line, name in imported(path) if name not in allowed]
    assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}; allowed: {sorted(allowed)}"


def test_a_network_hands_itself_over_only_inside_methods():
    for name in HAND_OVER:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        at_the_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not [ast.unparse(node) for node in at_the_top if "netloom.export" in ast.unparse(node)]
