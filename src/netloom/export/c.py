"""A C99 header for small devices: weights as constant arrays, one function that predicts, one per category that finds its code.

No allocation, no state; ``math.h`` for the exponential of chances. Weights and neurons are ``float`` (define NETLOOM_REAL as double for
another type), columns are scaled in double, as years and dates need it. Every product runs over memory once, in order.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from netloom.export.c_code import BODY, HELPERS
from netloom.export.describe import as_json, class_names, describe
from netloom.export.plan import Part, Plan, PlanView, make_plan
from netloom.target.network import TargetNetwork
from netloom.target.weights import CLIP, gathered

__all__ = ["to_c", "write"]

WIDTH = 120
FEW = 8  # outputs: below, each is a sum of its own
LONG = 16  # outputs that read one and the same input: below, a loop for each input is slower than looking up
VECTOR = 8  # outputs that the code makes at once
DENSE = 7  # a processor adds that many numbers in a row in the time of one that it looks up


def to_c(network: TargetNetwork, name: str = "model") -> str:
    """The text of a header whose functions and constants begin with ``name``."""
    plan = make_plan(network)
    document = describe(network, plan)
    plan = _arranged(plan)
    labels = class_names(network)
    numbers = [f"   numbers[{i}]  {_comment(entry['name'])}" for i, entry in enumerate(document["numbers"])]
    codes = []
    for i, entry in enumerate(document["codes"]):
        tail = f"{entry['unseen']} any other, {entry['missing']} missing"
        codes.append(f"   codes[{i}]    {_comment(entry['name'])}: {name}_code_{i}(text); 0 to {entry['unseen'] - 1} levels, {tail}")
    what = [f"chance of {label}" for label in labels] or list(network.target_names)
    outputs = [f"   out[{o}]      {_comment(text)}" for o, text in enumerate(what)]
    parts = {
        "NAME": name,
        "GUARD": f"NETLOOM_{name.upper()}_H",
        "TARGETS": _comment(", ".join(network.target_names)),
        "INPUTS": "\n".join([*numbers, *codes]) or "   none: nothing varied in training",
        "OUTPUTS": "\n".join(outputs),
        "NOTES": _notes(network, plan),
        "METADATA": as_json(document).replace("*/", "*\\/").replace("/*", "\\/*"),
        "N_NUMBERS": str(len(plan.slots)),
        "N_CODES": str(len(plan.codes)),
        "N_OUTPUTS": str(len(what)),
        "HELPERS": HELPERS,
        "CLASSES": _texts(f"{name}_classes", labels) if labels else "",
        "LEVELS": "\n".join(_lookup(name, i, code.levels) for i, code in enumerate(plan.codes)),
        "ARRAYS": "\n".join(_arrays(name, plan)),
        "STEPS": "\n".join(f"    {line}" for line in _steps(name, plan, len(what), len(labels))),
    }
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], BODY)


def write(network: TargetNetwork, name: str) -> bytes:
    """The file's content; functions are named after the file."""
    stem = re.sub(r"[^0-9A-Za-z_]", "_", Path(name).stem)
    return to_c(network, f"net_{stem}" if not stem or stem[0].isdigit() or stem[0] == "_" else stem).encode("ascii")


def _notes(network: TargetNetwork, plan: Plan) -> str:
    """How raw values become numbers, for the kinds of columns that this network has."""
    kinds = {network.schema.columns[slot.column].kind for slot in plan.slots}
    lines = ["   A missing number is NAN. Infinite and huge numbers are taken as in training."]
    if "boolean" in kinds:
        lines.append("   A truth value is 1 or 0.")
    if "date" in kinds:
        lines += [
            "   Parts of a date, of its wall-clock time: days (and parts of a day) since 1970-01-01, year, day of the month (1 to 31);",
            "   month, weekday and hour as sine and cosine of 2 pi t: t = (month - 1) / 12, weekday / 7 from Monday = 0,",
            "   time of day / 24 hours.",
        ]
    extras = {slot.part for slot in plan.slots if network.schema.columns[slot.column].kind == "category"}
    if "length" in extras:
        lines.append("   The length of a text counts characters (code points), not bytes.")
    if "frequency" in extras:
        lines.append('   The frequency of a level is its entry in "logs" of the schema below, "rest" for a level that is not there.')
    return "\n".join(lines)


def _arrays(name: str, plan: Plan) -> list[str]:
    found = []
    if any(len(view.slots) for view in plan.views):
        found += [_array(f"{name}_{key}", plan.column(key), "double") for key in ("fill", "low", "high")]
    for v, view in enumerate(plan.views):
        if len(view.slots):
            found += [_array(f"{name}_v{v}_slots", view.slots, "short" if len(plan.slots) < 32_000 else "int")]
            found += [_array(f"{name}_v{v}_centre", view.centre, "double"), _array(f"{name}_v{v}_per_scale", 1 / view.scale, "double")]
        if len(view.ranked):
            found += [_array(f"{name}_v{v}_ranked", view.ranked, "short" if len(view.slots) < 32_000 else "int")]
            found += [_array(f"{name}_v{v}_{key}", matrix, "double") for key, matrix in _pieces(view).items()]
        if len(view.many):
            found += [_array(f"{name}_v{v}_many", view.many, "short" if len(view.slots) < 32_000 else "int")]
            found += [_array(f"{name}_v{v}_thresholds", 3 * view.thresholds.T, "NETLOOM_REAL")]
    for t, part in enumerate([*plan.layers, plan.readout]):
        for key, matrix in _matrices(plan, part).items():
            if isinstance(matrix, Sums):
                found.append(_function(f"{name}_l{t}_{key}", matrix.lines))
                continue
            if isinstance(matrix, Sparse):
                found.append(_array(f"{name}_l{t}_{key}_from", matrix.from_, "int"))
            elif isinstance(matrix, Runs):
                found.append(_array(f"{name}_l{t}_{key}_ends", matrix.ends, "int"))
            matrix = matrix if isinstance(matrix, np.ndarray) else matrix.numbers
            found.append(_array(f"{name}_l{t}_{key}", matrix, "NETLOOM_REAL"))
        found.append(_array(f"{name}_l{t}_bias", part.bias, "double" if part is plan.readout else "NETLOOM_REAL"))
    return found


class Runs(NamedTuple):
    """A layer's only matrix, with one number in each column, of outputs in the order of the input they read: those up to ``ends[i]``, a
    multiple of eight, read i."""

    numbers: np.ndarray
    ends: np.ndarray


class Sums(NamedTuple):
    """A layer's only matrix, of 0 and -1: ``lines`` of code that make the outputs, sums that several share once."""

    lines: list[str]


class Sparse(NamedTuple):
    """The numbers of a matrix that are not 0 and the row each stands in (an input): the first of every output, then the second, each time
    of the ``counts[k]`` first outputs; the few that have none hold a 0."""

    numbers: np.ndarray
    from_: np.ndarray
    counts: tuple[int, ...]


def _arranged(plan: Plan) -> Plan:
    """The neurons of every layer in order of how many earlier ones they read, so that the sums of a sparse matrix are not scattered; those
    that read none, in order of the feature they read first, so that what reads one and the same stands side by side. Lines of eight are
    filled up with neurons that read nothing and that nothing reads."""
    layers: list[Part] = []
    orders: list[np.ndarray] = []
    for part in [*plan.layers, plan.readout]:
        edges = [order + (order >= 0) * edge for order, edge in zip((orders[e] for e in part.earlier), _edges(plan, part), strict=True)]
        onto = _taken(part.onto.T, np.concatenate([np.zeros(0, int), *edges])).T
        by_step = _by_step(plan, part)
        order = np.arange(part.width)
        if part is not plan.readout:
            order = np.lexsort([_first(by_step), -np.count_nonzero(onto, axis=0)])
            if not (onto.any() or part.codes.any() or part.flags.any()) and _is_runs(by_step[:, order]):
                runs = np.split(order, np.flatnonzero(np.diff(_first(by_step[:, order]))) + 1)
                order = np.concatenate([np.pad(run, (0, -len(run) % VECTOR), constant_values=-1) for run in runs])
        if len(order) >= FEW:
            order = np.pad(order, (0, -len(order) % VECTOR), constant_values=-1)
        weight, codes, flags, bias = (_taken(matrix, order) for matrix in (part.weight, part.codes, part.flags, part.bias))
        layers.append(replace(part, weight=weight, codes=codes, flags=flags, bias=bias, onto=_taken(onto, order)))
        orders.append(order)
    return replace(plan, layers=tuple(layers[:-1]), readout=layers[-1])


def _taken(matrix: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Columns in an order, 0 where it is -1."""
    return np.where(order >= 0, matrix[..., order], 0.0)


def _first(matrix: np.ndarray) -> np.ndarray:
    """The first input that each output reads; 0 for one that reads none."""
    return (matrix != 0).argmax(axis=0) if len(matrix) else np.zeros(matrix.shape[1], dtype=int)


def _is_runs(matrix: np.ndarray) -> bool:
    """Whether outputs that read one and the same input stand side by side, read nothing else, and are worth a loop."""
    where = _first(matrix)[matrix.any(axis=0)]
    single = (np.count_nonzero(matrix, axis=0) <= 1).all() and (np.diff(where) >= 0).all()
    return bool(single and len(where) and matrix.shape[1] >= LONG * (where[-1] + 1))


def _runs(matrix: np.ndarray) -> Runs | None:
    """The matrix as runs, if it is some, and each fills its lines of eight."""
    if not _is_runs(matrix):
        return None
    where = np.maximum.accumulate(_first(matrix))  # what fills a line belongs to those before it
    ends = np.searchsorted(where, np.arange(where[-1] + 1), "right")
    return None if (ends % VECTOR).any() else Runs(matrix[where, np.arange(len(where))], ends)


def _edges(plan: Plan, part: Part) -> list[int]:
    """Where the rows of each earlier layer begin in ``part.onto``."""
    return np.cumsum([0, *(plan.layers[e].width for e in part.earlier)])[:-1].tolist()


def _matrices(plan: Plan, part: Part) -> dict[str, np.ndarray | Runs | Sparse | Sums]:
    """Those of a part that are not all 0, in the order in which they are read: by eights of outputs, or by output where these are few."""
    products = {"weight": _by_step(plan, part)}
    for e, at in zip(part.earlier, _edges(plan, part), strict=True):
        products[f"onto{e}"] = part.onto[at : at + plan.layers[e].width]
    products = {key: matrix for key, matrix in (products | {"codes": part.codes, "flags": part.flags}).items() if matrix.any()}
    alone = len(products) == 1 and part is not plan.readout
    found: dict[str, np.ndarray | Runs | Sparse | Sums] = {}
    for key, matrix in products.items():
        if key in ("codes", "flags"):  # read row by row
            found[key] = matrix
        elif alone and (runs := _runs(matrix)) is not None:
            found[key] = runs
        elif DENSE * np.count_nonzero(matrix) >= matrix.size:
            found[key] = matrix.T if part.width < FEW else matrix.reshape(len(matrix), -1, VECTOR).transpose(1, 0, 2)
        elif alone and np.isin(matrix, (0, -1)).all():
            found[key] = Sums(sums([(j, frozenset(np.flatnonzero(column).tolist())) for j, column in enumerate(matrix.T)], 0))
        else:
            places, numbers = (x.T for x in gathered(matrix.T))
            counts = tuple(int(np.flatnonzero(row)[-1]) + 1 for row in numbers)
            numbers, places = (np.concatenate([x[k, :n] for k, n in enumerate(counts)]) for x in (numbers, places))
            found[key] = Sparse(numbers, places, counts)
    return found


def sums(outputs: list[tuple[int, frozenset[int]]], depth: int) -> list[str]:
    """``a[j] = b[j] - sum of x[i]``: what most have in common first, in a variable for each depth; leaves of a tree share their way."""
    common = [f"s{depth - 1}"] if depth else []
    lines = [" - ".join([f"a[{j}] = b[{j}]", *common]) + ";" for j, inputs in outputs if not inputs]
    outputs = [(j, inputs) for j, inputs in outputs if inputs]
    while outputs:
        count = Counter(i for _, inputs in outputs for i in inputs)
        most = min(count, key=lambda i: (-count[i], i))
        if count[most] == 1:
            totals = [" + ".join([*common, *(f"x[{i}]" for i in sorted(inputs))]) for _, inputs in outputs]
            return [*lines, *(f"a[{j}] = b[{j}] - ({text});" for (j, _), text in zip(outputs, totals, strict=True))]
        lines.append(f"s{depth} = {' + '.join([*common, f'x[{most}]'])};")
        lines += sums([(j, inputs - {most}) for j, inputs in outputs if most in inputs], depth + 1)
        outputs = [(j, inputs) for j, inputs in outputs if most not in inputs]
    return lines


def _by_step(plan: Plan, part: Part) -> np.ndarray:
    """The weight with the soft steps of a view threshold by threshold, which is how the code makes them, instead of column by column."""
    rows = []
    for view, start, stop in zip(plan.views, plan.starts[:-1].tolist(), plan.starts[1:].tolist(), strict=True):
        mine = np.arange(max(start, part.start), min(stop, part.stop))
        m = len(view.many)
        if len(mine) == view.width:
            steps = mine[view.width - 4 * m :].reshape(m, 4).T.ravel()
            mine = np.concatenate([mine[: view.width - 4 * m], steps])
        rows.append(mine)
    return part.weight[np.concatenate(rows).astype(int) - part.start] if rows else part.weight


def _pieces(view: PlanView) -> dict[str, np.ndarray]:
    """Piece q of a ranked column, of those before the first knot, between knots, and after the last: level + slope * z."""
    gap, rise = np.diff(view.knots, axis=1), np.diff(view.heights, axis=1)
    slope = np.where(gap > 0, rise / np.where(gap > 0, gap, 1), 0.0)
    flat = np.zeros((len(slope), 1))
    slope = np.concatenate([flat, slope, flat], axis=1)
    start = np.concatenate([view.knots[:, :1], view.knots], axis=1)
    level = np.concatenate([view.heights[:, :1], view.heights], axis=1) - slope * start
    return {"knots": view.knots, "slope": slope, "level": level}


def _steps(name: str, plan: Plan, outputs: int, classes: int) -> list[str]:
    """The body of the function, a line per step."""
    c, q = len(plan.codes), len(plan.slots) if any(len(view.slots) for view in plan.views) else 0
    k, m = max((len(view.slots) for view in plan.views), default=0), max((len(view.many) for view in plan.views), default=0)
    sizes = {"x": q, "z": k, "f": int(plan.starts[-1]), "bent": m, "h": sum(layer.width for layer in plan.layers), "y": plan.outputs}
    reals = ", ".join(f"{key}[{sizes[key]}]" for key in ("f", "bent", "h", "y") if sizes[key])
    doubles = ", ".join(f"{key}[{sizes[key]}]" for key in ("x", "z") if sizes[key])
    lines = [f"NETLOOM_REAL {reals};", *([f"double {doubles};"] if doubles else []), *([f"int code[{c}];"] if c else []), "int i;"]
    if q:
        lines.append(f"for (i = 0; i < {q}; i++) x[i] = netloom_clean(numbers[i], {name}_fill[i], {name}_low[i], {name}_high[i]);")
    lines += ["(void)numbers;"] if not q else []
    for i, code in enumerate(plan.codes):  # a code that does not exist is an unseen one, not a read beyond a table
        lines.append(f"code[{i}] = codes[{i}] < 0 || codes[{i}] > {code.missing} ? {code.unseen} : codes[{i}];")
    lines += [] if c else ["(void)codes;"]
    for v, view in enumerate(plan.views):
        at, k, m = int(plan.starts[v]), len(view.slots), len(view.many)
        p = f"{name}_v{v}"
        if not k:
            continue
        lines.append(f"for (i = 0; i < {k}; i++) z[i] = (x[{p}_slots[i]] - {p}_centre[i]) * {p}_per_scale[i];")
        if len(view.ranked):
            Q = view.knots.shape[1]
            where = f"{p}_knots + {Q} * i, {p}_slope + {Q + 1} * i, {p}_level + {Q + 1} * i"
            lines.append(f"for (i = 0; i < {len(view.ranked)}; i++)")
            lines.append(f"    z[{p}_ranked[i]] = netloom_rank(z[{p}_ranked[i]], {Q}, {where});")
        lines.append(f"for (i = 0; i < {k}; i++) f[{at} + i] = (NETLOOM_REAL)netloom_clip(z[i], {CLIP});")
        if m:
            lines.append(f"for (i = 0; i < {m}; i++) bent[i] = f[{at} + {p}_many[i]];")
            lines.append(f"netloom_cells(bent, {m}, {p}_thresholds, f + {at + k});")
    starts = np.concatenate([[0], np.cumsum([layer.width for layer in plan.layers])]).astype(int)
    for t, part in enumerate([*plan.layers, plan.readout]):
        last, H, p = part is plan.readout, part.width, f"{name}_l{t}"
        a = "y" if last else f"(h + {starts[t]})"
        held = _matrices(plan, part)
        product = "netloom_few" if H < FEW else "netloom_many"
        if not any(isinstance(matrix, (Runs, Sums)) for matrix in held.values()):
            lines.append(f"for (i = 0; i < {H}; i++) {a}[i] = {0 if last else f'{p}_bias[i]'};")
        if "codes" in held:
            for c, offset in enumerate(plan.offsets[:-1].tolist()):
                lines.append(f"netloom_add({p}_codes + {H} * ({offset} + code[{c}]), {a}, {H});")
        if "flags" in held:
            for i, slot in enumerate(plan.flags):
                lines.append(f"if (numbers[{slot}] != numbers[{slot}]) netloom_add({p}_flags + {H * i}, {a}, {H});")
        inputs = {"weight": (f"f + {part.start}", part.stop - part.start)}
        inputs |= {f"onto{e}": (f"h + {starts[e]}", plan.layers[e].width) for e in part.earlier}
        for key, (where, count) in inputs.items():
            matrix = held.get(key)
            if isinstance(matrix, Sums):
                lines.append(f"{p}_{key}({where}, {p}_bias, {a});")
            elif isinstance(matrix, Sparse):
                for at, count in zip(np.cumsum((0, *matrix.counts)), matrix.counts, strict=False):
                    lines.append(f"netloom_sparse({p}_{key} + {at}, {p}_{key}_from + {at}, {where}, {a}, {count});")
            elif isinstance(matrix, Runs):
                lines.append(f"netloom_runs({p}_{key}, {p}_{key}_ends, {where}, {len(matrix.ends)}, {p}_bias, {a});")
            elif matrix is not None:
                lines.append(f"{product}({p}_{key}, {where}, {count}, {a}, {H});")
        if not last and not any(isinstance(matrix, Runs) for matrix in held.values()):
            lines.append(f"for (i = 0; i < {H}; i++) {a}[i] = {a}[i] > 0 ? {a}[i] : 0;")
    p = f"{name}_l{len(plan.layers)}_bias"
    if classes == 2:
        return [*lines, f"out[1] = 1 / (1 + exp(-({p}[0] + y[0])));", "out[0] = 1 / (1 + exp(p0 + y[0]));".replace("p0", f"{p}[0]")]
    lines.append(f"for (i = 0; i < {outputs}; i++) out[i] = {p}[i] + y[i];")
    return [*lines, f"netloom_softmax(out, {classes});"] if classes else lines


def _lookup(name: str, i: int, levels: tuple[str, ...]) -> str:
    table = _texts(f"{name}_levels_{i}", list(levels)) + "\n" if levels else ""
    search = f"netloom_code(text, {name}_levels_{i}, {len(levels)})" if levels else "text ? 0 : 1"
    return f"{table}static inline int {name}_code_{i}(const char *text) {{ return {search}; }}"


def _texts(name: str, texts: list[str]) -> str:
    return f"static const char *const {name}[{len(texts)}] = {{\n" + "".join(f"    {_literal(text)},\n" for text in texts) + "};"


def _literal(text: str) -> str:
    """A C string of the text in UTF-8; everything unusual as three octal digits, which end by themselves."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()) + '"'


def _comment(text: str) -> str:
    """A text on one line of a comment, in ASCII."""
    return text.encode("unicode_escape").decode().replace("*/", "* /").replace("/*", "/ *")


def _function(name: str, statements: list[str]) -> str:
    """A function of statements that read x, change a, and keep what they need again in s0, s1, ...; b is the bias."""
    kept = sorted({word for line in statements for word in re.findall(r"\bs\d+\b", line)}, key=lambda word: int(word[1:]))
    head = f"static void {name}(const NETLOOM_REAL *restrict x, const NETLOOM_REAL *restrict b, NETLOOM_REAL *restrict a)"
    declared = [f"    NETLOOM_REAL {', '.join(kept)};"] if kept else []
    return "\n".join([head, "{", *declared, *_wrapped(statements), "}"])


def _array(name: str, values: np.ndarray, kind: str) -> str:
    flat = np.ravel(values)
    if kind in ("short", "int"):
        words = [str(int(x)) for x in flat]
    elif kind == "double":
        words = [repr(float(x)) for x in flat]
    else:
        words = [f"{x!s}f" for x in flat.astype(np.float32)]
    return f"static const {kind} {name}[{len(flat)}] = {{\n" + "\n".join(_wrapped([f"{word}," for word in words])) + "\n};"


def _wrapped(words: list[str]) -> list[str]:
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) > WIDTH:
            lines.append(line)
            line = "   "
        line += f" {word}"
    return [*lines, line]
