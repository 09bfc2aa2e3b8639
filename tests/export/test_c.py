"""The C header, compiled by a C compiler, predicts as the network does."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.export import export
from netloom.export.c import sums, to_c
from netloom.export.plan import make_plan

COMPILER = shutil.which("gcc") or shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
STRICT = ["-std=c99", "-O0", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-const-variable"]
MAIN = """
#include <stdio.h>
%s
static void answer(FILE *in, int q, int c, int o, void (*predict)(const double *, const int *, double *))
{
    double numbers[1000], out[100];
    int codes[1000], rows, r, i;
    if (fscanf(in, "%%d", &rows) != 1) return;
    for (r = 0; r < rows; r++) {
        for (i = 0; i < q; i++) if (fscanf(in, "%%lf", numbers + i) != 1) return;
        for (i = 0; i < c; i++) if (fscanf(in, "%%d", codes + i) != 1) return;
        predict(numbers, codes, out);
        for (i = 0; i < o; i++) printf("%%.17g ", out[i]);
        printf("\\n");
    }
}
int main(void) { %s return 0; }
"""


def compiled(folder, names, options=()):
    """A program with all headers of ``names`` that reads numbers and codes and prints outputs."""
    includes = "\n".join(f'#include "{name}.h"' for name in names)
    calls = " ".join(f"answer(stdin, {n}_NUMBERS, {n}_CODES, {n}_OUTPUTS, {n}_predict);" for n in names)
    (folder / "main.c").write_text(MAIN % (includes, calls))
    run = subprocess.run([COMPILER, *STRICT, *options, "main.c", "-o", "main", "-lm"], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[:3000]
    return folder / "main"


def answers(program, tables):
    """Outputs (rows, O) of each table of (numbers, codes)."""
    text = ""
    for numbers, codes in tables:
        lines = [" ".join([*map(repr, n.tolist()), *map(str, c.tolist())]) for n, c in zip(numbers, codes, strict=True)]
        text += f"{len(lines)}\n" + "\n".join(lines) + "\n"
    run = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    lines = iter(run.stdout.splitlines())
    return [np.array([[float(x) for x in next(lines).split()] for _ in range(len(numbers))]) for numbers, _ in tables]


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-DNETLOOM_PLAIN"],
        pytest.param(["-O3", "-march=native"], marks=pytest.mark.slow),
        pytest.param(["-DNETLOOM_REAL=double"], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_table_is_predicted_by_a_compiled_program(all_cases, prepared, agrees, tmp_path, options):
    """All headers in one program: their names do not meet."""
    for name, case in all_cases.items():
        export(case.network, tmp_path / f"{name}.h")
    texts = [(tmp_path / f"{name}.h").read_text() for name in all_cases]
    for kind in (r"^    netloom_runs\(", r"^    netloom_sparse\(", r"^    netloom_many\(", r"^    netloom_few\(", r"^static void \w+_onto"):
        assert any(re.search(kind, text, re.MULTILINE) for text in texts), f"no network of these needs {kind}"
    program = compiled(tmp_path, all_cases, options)
    for found, case in zip(answers(program, [prepared(case) for case in all_cases.values()]), all_cases.values(), strict=True):
        agrees(found, case)


def test_texts_find_their_codes(make, tmp_path):
    network = make("levels").network
    plan = make_plan(network)
    export(network, tmp_path / "levels.h")
    lines = []
    for i, code in enumerate(plan.codes):
        texts = ['"' + "".join(f"\\{b:03o}" for b in text.encode()) + '"' for text in code.levels]
        lines += [f'printf("%d ", levels_code_{i}({text}));' for text in [*texts, '"never seen"', "NULL"]]
    (tmp_path / "main.c").write_text('#include <stdio.h>\n#include "levels.h"\nint main(void) {' + "\n".join(lines) + " return 0; }")
    subprocess.run([COMPILER, *STRICT, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split()
    assert [int(x) for x in found] == [i for code in plan.codes for i in range(code.size)]


def test_a_code_that_does_not_exist_is_an_unseen_one(make, prepared, tmp_path):
    case = make("levels")
    export(case.network, tmp_path / "m.h")
    numbers, codes = prepared(case)
    unseen = np.array([code.unseen for code in make_plan(case.network).codes])
    program = compiled(tmp_path, ["m"] * 3)
    wild, tame, low = answers(program, [(numbers, codes * 0 + 10**6), (numbers, codes * 0 + unseen), (numbers, codes * 0 - 7)])
    np.testing.assert_array_equal(wild, tame)
    np.testing.assert_array_equal(low, tame)


def test_its_approximations_hold_everywhere(tmp_path):
    """tanh and cos of C beside numpy's, over all values that a standardised number can take."""
    from netloom.export.c_code import HELPERS

    show = 'printf("%.9g %.9g %.9g\\n", z, netloom_tanh(6 * z), netloom_cos_twice(z));'
    loop = f"for (i = -60000; i <= 60000; i++) {{ float z = i / 1e4f; {show} }}"
    (tmp_path / "main.c").write_text(f"#include <stdio.h>\n{HELPERS}\nint main(void) {{ int i; {loop} return 0; }}")
    subprocess.run([COMPILER, *STRICT, "main.c", "-o", "main", "-lm"], cwd=tmp_path, check=True)
    z, tanh, cos = np.loadtxt(subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.splitlines()).T
    np.testing.assert_allclose(tanh, np.tanh(6 * z), atol=5e-7)
    np.testing.assert_allclose(cos, np.cos(2 * z), atol=1e-6)


def test_schema_classes_and_scores_travel_in_a_comment(make):
    case = make("everything, 7 classes")
    text = to_c(case.network, "m")
    assert text.isascii()
    document = json.loads(re.search(r"as JSON:\n(.*)\n\*/", text)[1])
    assert document["schema"] == case.network.schema.to_json() and document["metrics"] == case.network.metrics


def test_functions_are_named_after_the_file(make, tmp_path):
    for name, function in (("a-b.h", "a_b_predict"), ("1st.h", "net_1st_predict"), ("Größe.h", "Gr__e_predict")):
        export(make("linear").network, tmp_path / name)
        assert f"void {function}(" in (tmp_path / name).read_text()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_shared_sums_are_the_matrix(data):
    n, h = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 20))
    inputs = data.draw(st.lists(st.frozensets(st.integers(0, n - 1), max_size=6), min_size=h, max_size=h))
    lines = sums(list(enumerate(inputs)), 0)
    x, b, a = [2.0**i for i in range(n)], [0.5 + j for j in range(h)], [None] * h  # powers of two: every sum is exact and tells its parts
    exec("\n".join(lines), {"x": x, "b": b, "a": a})  # as C, but for the semicolons, which Python takes too
    assert a == [b[j] - sum(x[i] for i in inputs[j]) for j in range(h)]
    assert sum(line.count("x[") for line in lines) <= sum(map(len, inputs))


def test_leaves_of_a_tree_share_their_way():
    leaves = [{0, 1, 2}, {0, 1, 3}, {0, 4}, {5, 6}, {5, 7}]
    lines = sums([(j, frozenset(leaf)) for j, leaf in enumerate(leaves)], 0)
    assert sum(line.count("x[") for line in lines) == 8  # every edge of the tree once, 12 of them otherwise
