"""``python -m netloom.training config.toml [--key value ...]``: train from the source tree, with torch, numpy and safetensors only."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from netloom.errors import ConfigError, NetloomError
from netloom.training.settings import Settings
from netloom.training.trainer import pretrain

__all__ = ["main", "parse_changes"]

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command; what goes wrong is one line and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m netloom.training", description=__doc__)
    parser.add_argument("config", help="a TOML file, e.g. examples/pretrain.toml")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings that replace those of the file")
    options = parser.parse_args(arguments)
    try:
        state = pretrain(Settings.from_toml(options.config, **parse_changes(options.set)), lambda line: print(line, flush=True))
    except NetloomError as error:
        print(f"netloom: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("netloom: interrupted; the last checkpoint is whole", file=sys.stderr)
        return INTERRUPTED
    return 0 if state else 1


def parse_changes(words: list[str]) -> dict[str, Any]:
    """Settings from words like ``lr=1e-4``, ``rows=[24,640]`` or ``out=run``: TOML values, or bare text.

    Raises
    ------
    ConfigError : a word without ``=``
    """
    import tomllib

    changes: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r}: must be KEY=VALUE, e.g. lr=1e-4")
        try:
            changes[key.strip()] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = value
    return changes


if __name__ == "__main__":
    sys.exit(main())
