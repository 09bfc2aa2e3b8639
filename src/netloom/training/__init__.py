"""Meta-training: ``netloom pretrain config.toml``, or ``python -m netloom.training config.toml`` with torch, numpy and safetensors only.

Read settings.py, trainer.py (the whole loop), feed.py (tasks as the hypernetwork reads them), loss.py and schedule.py; then sources.py,
validation.py, checkpoint.py, parallel.py, log.py and plot.py.
"""
