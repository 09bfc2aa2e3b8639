"""Everything a run can be told, from a TOML file: frozen, checked, unknown keys refused."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from netloom.errors import ConfigError, FileError
from netloom.tasks.priors import Ranges

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """One run of meta-training; ``docs/pretrain.md`` says what each key does."""

    out: str = "pretrain"
    init: str = ""  # weights to start from (.safetensors); empty: random, or the run in ``out`` goes on
    seed: int = 0
    # how long: steps, or minutes of training summed over all starts; the schedule follows whichever is given
    steps: int = 0
    minutes: float = 0.0
    # the hypernetwork; 0 takes what ``init`` has, or 64, 12, 8 and 1
    width: int = 0
    neurons: int = 0
    copies: int = 0
    rounds: int = 0
    blocks: tuple[int, int] = (2, 4)
    # the tasks
    work: float = 32.0  # of a step, in tasks of 190 rows and 16 features
    groups: int = 2  # batches of their own sizes in a step, which share the work
    rows: tuple[int, int] = (10, 1000)
    columns: tuple[int, int] = (1, 100)
    outputs: tuple[int, int] = (2, 10)
    queries: int = 96
    regression: float = 0.25
    skew: float = 2.5
    ranked: float = 0.25  # share of batches that read ranked columns
    beside: float = 0.5  # share of batches whose readout holds random neurons too
    tables: str = ""  # folder of tables, or a file made by ``pack``
    real: float = 0.5  # share of batches drawn from tables, where there are any
    half: int = -1  # 0 or 1: train on that half of the tables, validate on the other
    # the optimiser
    lr: float = 1e-3
    last_lr: float = 0.02  # share of lr at the end
    schedule: str = "cosine"
    warmup: int = 100
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    ema: float = 0.998
    earlier: float = 0.3  # weight of the losses after earlier blocks
    # the machine
    device: str = "auto"
    threads: int = 1
    mixed: bool = False  # bfloat16 between tokens; everything solved stays float32
    # what is said and kept
    log_every: int = 25
    save_every: int = 250
    validate_every: int = 500
    validation: int = 40  # batches of synthetic tasks, the same at every validation
    suite: str = ""  # folder of real tables for validation; those trained on are left out

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name), field.default)
        if bool(self.steps > 0) == bool(self.minutes > 0):
            raise ConfigError("steps, minutes: give exactly one of them, above 0")
        for name, least, most in LIMITS:
            value = getattr(self, name)
            if not least <= value <= most:  # NaN too
                raise ConfigError(f"{name} = {value}: must be between {least:g} and {most:g}")
        for name, least, most in PAIRS:
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ConfigError(f"{name} = [{low}, {high}]: must rise and lie between {least} and {most}")
        for name, options in CHOICES.items():
            if getattr(self, name) not in options and not (name == "device" and getattr(self, name).startswith("cuda:")):
                raise ConfigError(f"{name} = {getattr(self, name)!r}: must be one of {', '.join(map(str, options))}")
        if self.half >= 0 and not self.tables:
            raise ConfigError(f"half = {self.half}: says which half of the tables to train on, but tables is empty; give a folder")
        if self.width and self.width % 8:
            raise ConfigError(f"width = {self.width}: must be a multiple of 8, or 0 for that of init")

    @classmethod
    def from_toml(cls, path: str | Path, **changed: Any) -> Settings:
        """Settings of a file, some of them replaced.

        Raises
        ------
        FileError : if it cannot be read or is no TOML;  ConfigError : an unknown key or an impossible value
        """
        try:
            with open(path, "rb") as file:
                content = tomllib.load(file)
        except OSError as error:
            raise FileError(f"{path}: cannot be read ({error.strerror}); give a TOML file, e.g. examples/pretrain.toml") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: is not TOML ({error}); see examples/pretrain.toml") from None
        return cls.from_dict(content | changed)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Settings:
        """Settings from plain values; lists become pairs.

        Raises
        ------
        ConfigError : an unknown key or an impossible value
        """
        known = [field.name for field in fields(cls)]
        for key in content:
            if key not in known:
                near = get_close_matches(key, known, 1)
                raise ConfigError(f"{key}: no such setting{f'; did you mean {near[0]}?' if near else ''} (docs/pretrain.md lists all)")
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @property
    def ranges(self) -> Ranges:
        """What sizes tasks may have."""
        return Ranges(self.rows, self.columns, self.outputs, self.queries, self.regression, self.skew)


LIMITS = (  # (setting, least, most)
    ("seed", 0, 2**62),
    ("steps", 0, 10**9),
    ("minutes", 0, 10**7),
    ("width", 0, 1024),
    ("neurons", 0, 256),
    ("copies", 0, 64),
    ("rounds", 0, 8),
    ("work", 1, 10**5),
    ("groups", 1, 64),
    ("queries", 1, 10_000),
    ("regression", 0, 1),
    ("skew", 0.1, 10),
    ("ranked", 0, 1),
    ("real", 0, 1),
    ("beside", 0, 1),
    ("half", -1, 1),
    ("lr", 1e-8, 1),
    ("last_lr", 0, 1),
    ("warmup", 0, 10**6),
    ("weight_decay", 0, 10),
    ("clip", 1e-6, 1e6),
    ("ema", 0, 0.999999),
    ("earlier", 0, 10),
    ("threads", 1, 1024),
    ("log_every", 1, 10**9),
    ("save_every", 1, 10**9),
    ("validate_every", 1, 10**9),
    ("validation", 1, 10_000),
)
PAIRS = (("blocks", 1, 16), ("rows", 5, 20_000), ("columns", 1, 1000), ("outputs", 2, 100), ("betas", 0, 0.99999))
CHOICES = {"schedule": ("cosine", "linear", "constant"), "device": ("auto", "cpu", "cuda")}


def _check_type(name: str, value: Any, default: Any) -> None:
    """ConfigError unless the value is of the default's type; an integer may stand for a float."""
    if isinstance(default, tuple):
        kinds = (int, float) if isinstance(default[0], float) else (int,)
        good = isinstance(value, tuple) and len(value) == 2 and all(type(v) in kinds for v in value)
        wanted = "two numbers, e.g. " + str(list(default))
    elif isinstance(default, float):
        good, wanted = type(value) in (int, float), "a number"
    else:
        good, wanted = type(value) is type(default), {bool: "true or false", int: "a whole number", str: "a text in quotes"}[type(default)]
    if not good:
        raise ConfigError(f"{name} = {value!r}: must be {wanted}")
