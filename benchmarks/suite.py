"""Protocol B: many tables, three splits each, networks, their controls and baselines on the same rows. Resumes where it was cut.

    python benchmarks/suite.py --suite FOLDER [--models netloom linear rf300] [--seeds 0 1 2] [--jobs 2] [--max-tables 20]

Writes runs.csv (a line per table, seed and model) and the summary made from it into --out.
"""

import argparse
import sys
from pathlib import Path

from netloom.errors import NetloomError
from netloom.evaluate.baselines import BASELINES, available
from netloom.evaluate.suite import NETWORKS, default_models, run
from netloom.evaluate.summary import summarise

HERE = Path(__file__).parent
MOST_ROWS = 2000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", required=True, help="folder with index.csv, classification/*.parquet, regression/*.parquet")
    parser.add_argument(
        "--out", type=Path, help="folder for runs.csv and the summary (default: results/suite, or suite_N with --most-rows N)"
    )
    parser.add_argument("--models", nargs="+", metavar="MODEL", help=f"default: all installed of {', '.join([*NETWORKS, *BASELINES])}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with one thread")
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="only these tables")
    parser.add_argument("--most-rows", type=int, default=MOST_ROWS, help="for training")
    parser.add_argument("--max-tables", type=int, help="at most so many tables, evenly over the index")
    parser.add_argument("--summary-only", action="store_true", help="summarise the runs.csv that is there")
    parser.add_argument("--no-plots", action="store_true")
    options = parser.parse_args()
    name = "suite" if options.most_rows == MOST_ROWS else f"suite_{options.most_rows}"  # lines do not say how many rows were allowed
    out = options.out or HERE / "results" / name
    runs = out / "runs.csv"
    try:
        if not options.summary_only:
            absent = available()[1]
            if absent and options.models is None:
                print(f"not installed, left out: {', '.join(absent)} (pip install netloom[bench])", file=sys.stderr)
            chosen = options.models or default_models()
            picked = {"seeds": options.seeds, "tables": options.tables, "max_tables": options.max_tables, "most_rows": options.most_rows}
            run(options.suite, runs, chosen, jobs=options.jobs, **picked)
        summary = summarise(runs, models=options.models)
        written = summary.write(out, plots=not options.no_plots)
    except (NetloomError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    print(summary.to_markdown())
    print(f"written: {', '.join(str(path) for path in [runs, *written])}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
