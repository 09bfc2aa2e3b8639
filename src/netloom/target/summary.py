"""A network in a few lines of text."""

from netloom.target.network import TargetNetwork
from netloom.target.weights import read_rows

__all__ = ["summarise"]


def summarise(network: TargetNetwork) -> str:
    """Task, layers, members, size and held-out score, one a line."""
    w = network.weights
    if network.classes is None:
        task = f"regression of {', '.join(network.target_names)}"
    else:
        shown = ", ".join(str(label) for label in network.classes[:5]) + (", ..." if len(network.classes) > 5 else "")
        task = f"classification of {network.target_names[0]}: {len(network.classes)} classes ({shown})"
    lines = [f"netloom network: {task}"]
    lines.append(f"  reads      {len(network.schema.columns)} columns as {len(network.schema.features)} numbers")
    for v, view in enumerate(w.views):
        kind = "standardised" if view.knots is None else "ranked"
        bent = f", {7 * len(view.many)} cells" if view.cells else ""
        lines.append(f"  view {v}     {len(view.columns)} values {kind}{bent}")
    for t, layer in enumerate(w.layers):
        onto = f" and layers {', '.join(map(str, layer.earlier))}" if layer.earlier else ""
        lines.append(f"  layer {t}    {layer.width} neurons on {len(layer.weight)} features of view {layer.view}{onto}")
    lines.append(
        f"  readout    {network.architecture.get('head', '?')}, {read_rows(w.readout).sum()} features -> {w.readout.shape[1]} outputs"
    )
    for member in network.architecture.get("members", []):
        lines.append(f"  member     {member['family']}, penalty {member['penalty']:g}, weight {member['weight']:.0%}")
    imitated = network.architecture.get("imitates")
    if isinstance(imitated, dict):
        unit = "of the variance" if network.classes is None else "nats a row"
        lines.append(f"  imitates   their average, {imitated['bytes'] / 1000:.0f} kB, to {imitated['apart']:.1g} {unit}")
    for name in ("accuracy", "log_loss", "r2"):
        if name in network.metrics:
            lines.append(f"  held out   {name} {network.metrics[name]:.4f} +- {network.metrics.get(name + '_se', float('nan')):.4f}")
    lines.append(f"  size       {network.n_parameters} parameters, {network.n_bytes / 1000:.1f} kB")
    return "\n".join(lines)
