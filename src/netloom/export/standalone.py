"""A table row in, a prediction out: the Python standard library is all it needs.

    from MODULE import predict, predict_proba, prepare
    predict({"column": value, ...})      the label, or the value (a list for several targets)
    predict_proba({...})                 the chance of each class, in the order of CLASSES
    prepare({...})                       (numbers, codes): what the torch, Keras and C versions of this network are given

    python MODULE.py < table.csv > predictions.csv

A row is a mapping of column names to values, or a list of values in the order of COLUMNS. None, NaN and, for numbers, dates and truth
values, empty text are missing values. Texts, numbers, datetimes and numpy or pandas scalars are understood as in training.
"""

# ruff: noqa: B905  zip(strict=) costs time in the innermost loops, and lengths are right by construction

import base64
import csv
import datetime
import json
import math
import re
import sys
import zoneinfo
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from itertools import repeat
from operator import itemgetter, mul

MODEL = json.loads("{}")  # written by netloom
WEIGHTS: dict = {}  # written by netloom: float32, little endian, base 64

LARGEST = 1e30
CLIP = 6.0
WORDS = {"true": 1.0, "false": 0.0, "True": 1.0, "False": 0.0, "TRUE": 1.0, "FALSE": 0.0}
DAY = 86_400_000_000
FIRST = datetime.date(1970, 1, 1).toordinal()


def predict(row):
    """The label of the likeliest class, or the value; a list of values for several targets."""
    outputs = forward(*prepare(row))
    if CLASSES is None:
        return outputs[0] if len(outputs) == 1 else outputs
    if len(outputs) == 1:
        return CLASSES[1 if outputs[0] > 0 else 0]
    return CLASSES[outputs.index(max(outputs))]


def predict_proba(row):
    """The chance of each class, in the order of CLASSES."""
    if CLASSES is None:
        raise ValueError("this network predicts values, not classes; use predict")
    outputs = forward(*prepare(row))
    logits = [0.0, outputs[0]] if len(outputs) == 1 else outputs
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    total = sum(powers)
    return [x / total for x in powers]


def prepare(row):
    """Numbers (NaN where missing) and codes of a row, in the order of MODEL["numbers"] and MODEL["codes"]."""
    values = _in_order(row)
    numbers, codes = [], []
    for entry in MODEL["numbers"]:
        column = SCHEMA[entry["column"]]
        numbers.append(READ[column["kind"]](values[entry["column"]], column, entry["part"]))
    for entry, place in zip(MODEL["codes"], PLACES):
        value = values[entry["column"]]
        codes.append(entry["missing"] if _is_missing(value) else place.get(_as_text(value), entry["unseen"]))
    return numbers, codes


def forward(numbers, codes):
    """Outputs of the network: logits, one log odds for two classes, or values."""
    missing = [i for i, slot in enumerate(FLAGS) if numbers[slot] != numbers[slot]]
    x = [_bounded(value, *bounds) for value, bounds in zip(numbers, BOUNDS)]
    rows = [offset + code for offset, code in zip(OFFSETS, codes)]
    features = []
    for view in VIEWS:
        features += _features(x, view)
    hidden: list = []
    for part in PARTS:
        seen = features[part["start"] : part["stop"]]
        for earlier in part["earlier"]:
            seen += hidden[earlier]
        total = _sums(part, seen)
        for looked_up in [part["codes"][i] for i in rows if part["codes"]] + [part["flags"][i] for i in missing if part["flags"]]:
            total = [a + b for a, b in zip(total, looked_up)]
        hidden.append([a if a > 0 else 0.0 for a in total] if len(hidden) + 1 < len(PARTS) else total)
    return hidden[-1]


def _sums(part, seen):
    """What the neurons of a part make of what they see; those that read few others look them up."""
    bias, weight = part["bias"], part["weight"]
    if "alone" in part:
        return [b + w * seen[i] for b, (w,), i in zip(bias, weight, part["alone"])]
    reads = [read(seen) for read in part["reads"]] if "reads" in part else repeat(seen)
    return [b + sum(map(mul, w, read)) for b, w, read in zip(bias, weight, reads)]


def _features(x, view):
    """Standardised values, ranked where the view says so, and their cells."""
    z = [(x[slot] - centre) / scale for slot, centre, scale in zip(view["slots"], view["centre"], view["scale"])]
    for position, knots, heights in zip(view["ranked"], view["knots"], view["heights"]):
        z[position] = _interpolate(z[position], knots, heights)
    z = [min(max(value, -CLIP), CLIP) for value in z]
    bent = [z[position] for position in view["many"]]
    tanh = [math.tanh(2 * value) for value in bent]
    cos = [math.cos(2 * value) for value in bent]
    parabola = [0.5 * min(max(value * value - 1, -3), 6) for value in bent]
    steps = [math.tanh(3 * (value - t)) for value, thresholds in zip(bent, view["thresholds"]) for t in thresholds]
    return z + tanh + cos + parabola + steps


def _interpolate(value, knots, heights):
    if value <= knots[0]:
        return heights[0] if value < knots[0] else heights[bisect_right(knots, value) - 1]
    if value >= knots[-1]:
        return heights[-1]
    right = bisect_right(knots, value)
    left = right - 1
    return heights[left] + (heights[right] - heights[left]) * (value - knots[left]) / (knots[right] - knots[left])


def _bounded(value, fill, low, high):
    if value != value:
        return fill
    if math.isinf(value):
        return high if value > 0 else low
    return min(max(value, -LARGEST), LARGEST)


def _in_order(row):
    columns = SCHEMA
    if isinstance(row, Mapping):
        if len(set(COLUMNS)) < len(COLUMNS):
            raise ValueError("some columns have the same name, so a row by name is unclear; give a list in the order of COLUMNS")
        absent = [c["name"] for c in columns if c["name"] not in row and c["kind"] != "constant"]
        if absent:
            raise ValueError(f"the row has no {', '.join(map(repr, absent[:5]))}; give each column, None where not known")
        return [row.get(c["name"]) for c in columns]
    if isinstance(row, (str, bytes)) or len(row) != len(columns):
        raise ValueError(f"a row must be a mapping of names to values, or {len(columns)} values in the order of COLUMNS")
    return list(row)


def _is_missing(value):
    if value is None or type(value).__name__ == "NAType":  # pandas.NA
        return True
    if isinstance(value, str):
        return False
    try:
        return bool(value != value)
    except ArithmeticError:  # a signalling NaN of Decimal
        return True


def _number(value, column, part):
    try:
        return _as_float(value)
    except (TypeError, ValueError):
        raise _unreadable(column, value, "a number") from None


def _boolean(value, column, part):
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    number = _number(value, column, part)
    if number in (0.0, 1.0) or number != number:
        return number
    raise _unreadable(column, value, "True or False")


def _category(value, column, part):
    """The number beside the code: how often the level occurred, or the length of the text; NaN where missing."""
    if _is_missing(value):
        return math.nan
    text = _as_text(value)
    if part == "length":
        return float(len(text))
    return column["frequencies"].get(text, column["rest"])


def _date(value, column, part):
    moment = _moment(value, column)
    if moment is None:
        return math.nan
    within = ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond
    if part == "days":
        return ((moment.toordinal() - FIRST) * DAY + within) / DAY
    if part in ("year", "day"):
        return float(getattr(moment, part))
    name, _, which = part.partition(" ")
    turn = {"month": (moment.month - 1) / 12, "weekday": moment.weekday() / 7, "hour": within / DAY}[name]
    return round((math.sin if which == "sin" else math.cos)(2 * math.pi * turn), 9)


def _moment(value, column):
    """Wall-clock time in the zone of training, None where missing."""
    if _is_missing(value) or (isinstance(value, str) and not value.strip()):
        return None
    if hasattr(value, "to_timestamp"):  # a period of pandas
        value = value.to_timestamp()
    if type(value).__name__ == "datetime64":
        value = value.astype("datetime64[us]").item()
    try:
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value.strip()))
    except ValueError:
        raise _unreadable(column, value, "a date like 2024-01-31") from None
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None and column["zone"]:
            value = value.astimezone(_zone(column["zone"]))
        return value.replace(tzinfo=None)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    raise _unreadable(column, value, "a date like 2024-01-31")


def _zone(name):
    offset = re.fullmatch(r"UTC(?:([+-])(\d\d):(\d\d))?", name)
    if offset is None:
        return zoneinfo.ZoneInfo(name)
    sign, hours, minutes = offset.groups(default="0")
    span = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    return datetime.timezone(-span if sign == "-" else span)


def _as_float(value):
    if isinstance(value, str):
        return float(value) if value.strip() else math.nan
    if _is_missing(value):
        return math.nan
    if type(value).__name__ == "timedelta64":
        return float(value.astype("timedelta64[ns]").astype("int64")) / 1e9
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, datetime.time):
        return value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, (int, float, Decimal)) or type(value).__module__ == "numpy":
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    raise ValueError("not a number")


def _as_text(value):
    """The text by which a category is known; a whole float like its integer."""
    if isinstance(value, str):
        return str(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _unreadable(column, value, instead):
    return ValueError(f"column {column['name']!r}: holds {value!r:.60}; use {instead} or leave it empty")


def _matrix(name):
    """Rows of a matrix kept in WEIGHTS, none if it is not there."""
    if name not in WEIGHTS:
        return []
    rows, width, text = WEIGHTS[name]
    flat = array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        flat.byteswap()
    numbers = flat.tolist()
    return [numbers[i * width : (i + 1) * width] for i in range(rows)]


def _label(value):
    if isinstance(value, dict):
        (kind, text), *_ = value.items()
        return getattr(datetime, kind).fromisoformat(text)
    return value


def _load():
    classes = MODEL["classes"]
    plan = MODEL.pop("plan")
    for i, part in enumerate(plan["parts"]):
        part.update({name: _matrix(f"{i}.{name}") for name in ("weight", "codes", "flags")})
        if f"{i}.inputs" in WEIGHTS:  # neurons that read few others; 0 fills up short ones
            inputs = [[int(place) for place in row] for row in _matrix(f"{i}.inputs")]
            counts = [sum(w != 0 for w in row) for row in part["weight"]]
            if max(counts) <= 1:
                part["alone"] = [row[0] for row in inputs]
                part["weight"] = [row[:1] for row in part["weight"]]
            else:
                part["weight"] = [row[: max(n, 2)] for row, n in zip(part["weight"], counts)]
                part["reads"] = [itemgetter(*row[: max(n, 2)]) for row, n in zip(inputs, counts)]
    schema = [
        column | {"frequencies": dict(zip(column.get("levels", ()), column.get("logs", ())))} for column in MODEL["schema"]["columns"]
    ]
    places = [{level: i for i, level in enumerate(entry["levels"])} for entry in MODEL["codes"]]
    return classes and [_label(value) for value in classes["values"]], plan, schema, places


READ = {"number": _number, "boolean": _boolean, "category": _category, "date": _date}


def main():
    """CSV with a header line on standard input, predictions as CSV on standard output; an empty field is a missing value."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    names = MODEL["target_names"]
    out.writerow(names if CLASSES is None else [names[0], *(f"chance of {label}" for label in CLASSES)])
    for number, row in enumerate(csv.DictReader(sys.stdin), 2):
        try:
            row = {name: None if value == "" else value for name, value in row.items()}
            label = predict(row)
            out.writerow([label, *predict_proba(row)] if CLASSES is not None else label if isinstance(label, list) else [label])
        except ValueError as error:
            sys.exit(f"line {number}: {error}")


if MODEL:
    CLASSES, _PLAN, SCHEMA, PLACES = _load()
    COLUMNS = [column["name"] for column in SCHEMA]
    FLAGS, BOUNDS, OFFSETS = _PLAN["flags"], _PLAN["bounds"], _PLAN["offsets"]
    VIEWS, PARTS = _PLAN["views"], _PLAN["parts"]
    if __name__ == "__main__":
        main()
