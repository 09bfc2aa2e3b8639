"""Options that are impossible, paths that are tricks: one line, the right code, and every file as it was."""

import os

import pytest

NEVER = "--no-baselines --quiet"


@pytest.mark.parametrize(
    "words, code, said",
    [
        # fit
        ("fit", 2, "Missing argument"),
        ("fit new.csv", 2, "Missing option"),
        ("fit new.csv --target", 2, "requires an argument"),
        ("fit new.csv --target y --seed -1", 2, "--seed"),
        ("fit new.csv --target y --seed 99999999999", 2, "--seed"),
        ("fit new.csv --target y --seed 1.5", 2, "--seed"),
        ("fit new.csv --target y --threads 0", 2, "--threads"),
        ("fit new.csv --target y --threads many", 2, "--threads"),
        ("fit new.csv --target y --kind clustering", 2, "--kind"),
        ("fit new.csv --target y --budget -5kB", 2, "must be a number with a unit"),
        ("fit new.csv --target y --budget 5kB,6kB", 2, "limited twice"),
        ("fit new.csv --target y --budget 5parsec", 2, "must be a number with a unit"),
        ("fit new.csv --target y --budget 0s", 2, "must be above 0"),
        ("fit new.csv --target y --head softmax", 2, "head = 'softmax': unknown"),
        ("fit new.csv --target y --weight nothing", 3, "nothing"),
        ("fit new.csv --target y --weight y", 3, "both the target and the weight"),
        ("fit new.csv --target nothing", 3, "target 'nothing' is not a column"),
        ("fit new.csv --target y --target nothing", 3, "nothing"),
        ("fit new.csv --target y --target colour", 3, "colour"),
        ("fit new.csv --target y --bogus", 2, "No such option"),
        ("fit new.csv new.csv --target y", 2, "unexpected extra argument"),
        # predict
        ("predict", 2, "Missing argument"),
        ("predict good.netloom", 2, "Missing argument"),
        ("predict good.netloom new.csv --interval 1.5", 2, "coverage = 1.5"),
        ("predict good.netloom new.csv --interval nan", 2, "coverage = nan"),
        ("predict good.netloom new.csv --interval 0.9", 2, "too few rows"),
        ("predict good.netloom new.csv --interval wide", 2, "--interval"),
        ("predict good.netloom new.csv --proba", 2, "predicts values, not classes"),
        ("predict classes.netloom new.csv --interval 0.9", 2, "predicts classes"),
        ("predict good.netloom new.csv --out p", 4, "the ending must be"),
        ("predict good.netloom new.csv --out p.csv.zip", 4, "the ending must be"),
        ("predict good.netloom new.csv --threads -3", 2, "--threads"),
        ("predict good.netloom good.netloom", 4, "good.netloom"),
        # inspect, report, export, diff
        ("inspect", 2, "Missing argument"),
        ("inspect good.netloom --explain nothing.csv", 4, "nothing.csv"),
        ("inspect good.netloom --explain good.netloom", 4, "good.netloom"),
        ("report good.netloom --data nothing.csv", 4, "nothing.csv"),
        ("report good.netloom --out new.csv", 4, "is not an HTML page"),
        ("report good.netloom --out good.netloom", 2, "is what is read"),
        ("report good.netloom --out new.csv --data new.csv --force", 2, "is what is read"),
        ("export good.netloom", 2, "Missing argument"),
        ("export good.netloom m", 2, "must be one of"),
        ("export good.netloom m.exe", 2, "must be one of"),
        ("export good.netloom .onnx", 2, "must be one of"),
        ("export good.netloom good.netloom", 2, "must be one of"),
        ("diff good.netloom", 2, "Missing argument"),
        ("diff good.netloom classes.netloom", 3, "give two of one task"),
        ("diff good.netloom good.netloom --table nothing.csv", 4, "nothing.csv"),
        # refine
        ("refine good.netloom", 2, "Missing argument"),
        ("refine good.netloom new.csv --until", 2, "requires an argument"),
        ("refine good.netloom new.csv --until steps=-1", 2, "must be a whole number of at least 0"),
        ("refine good.netloom new.csv --until steps=x", 2, "until"),
        ("refine good.netloom new.csv --until steps=1|", 2, "until"),
        ("refine good.netloom new.csv --until seconds=nan", 2, "until"),
        ("refine good.netloom new.csv --until __import__('os')", 2, "until"),
        ("refine good.netloom new.csv --folds 1", 2, "--folds"),
        ("refine good.netloom new.csv --folds 99", 2, "--folds"),
        ("refine good.netloom new.csv --rate 0", 2, "rate"),
        ("refine good.netloom new.csv --rate nan", 2, "rate"),
        ("refine good.netloom new.csv --out no/where.netloom", 4, "there is no such folder"),
        ("refine good.netloom new.csv --out new.csv", 2, "is the table itself"),
        # update
        ("update good.netloom", 2, "Missing argument"),
        ("update good.netloom new.csv --reweave sometimes", 2, "--reweave"),
        ("update good.netloom new.csv", 2, "give those rows once"),
        ("update good.netloom new.csv --weight nothing", 3, "nothing"),
        ("update good.netloom good.netloom", 4, "good.netloom"),
        # bench and pretrain
        ("bench", 2, "Missing argument"),
        ("bench . --jobs 0", 2, "--jobs"),
        ("bench . --seeds -1", 2, "must be 0 or more"),
        ("bench . --seeds ,", 2, "must be numbers by commas"),
        ("bench .", 4, "index.csv"),
        ("bench new.csv", 4, "index.csv"),
        ("pretrain", 2, "Missing argument"),
        ("pretrain nothing.toml", 4, "cannot be read"),
        ("pretrain .", 4, "cannot be read"),
        ("pretrain good.netloom", 4, "is not TOML"),
        ("pretrain new.csv", 4, "is not TOML"),
        ("pretrain nothing.toml --set steps", 2, "steps"),
        # no command
        ("serve good.netloom", 2, "No such command"),
        ("--bogus", 2, "No such option: --bogus"),
        ("--bogus fit new.csv --target y", 2, "No such option: --bogus"),
        ("-x", 2, "No such option: -x"),
        ("--version=3", 2, "--version"),
        ("--", 2, "Missing command"),
    ],
)
def test_an_impossible_option_is_one_line(refused, words, code, said):
    assert said in refused(*words.split(" "), codes=(code,))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"steps = 3\nsteps = 4",
        b"steps = [",
        b"steps = 0",
        b"steps = 1e3",
        b"steps = true",
        b"steps = 3\nwidth = 7",
        b"\xff\xfe",
        b"bogus = 1",
        b"steps = 3\nlr = nan",
        b"steps = 3\nrows = [10]",
        b"steps = 3\nrows = ['a', 'b']",
        b"steps = 3\nbetas = [2, 3]",
        b"steps = 3\nminutes = 3",
        b"[steps]\nx = 1",
        b"steps = 3\nlr = inf",
        b"steps = 3\nthreads = -1",
        b"steps = 99999999999999999999999",
    ],
    ids=lambda content: repr(content)[2:30],
)
def test_impossible_settings_are_one_line(place, refused, content):
    (place / "c.toml").write_bytes(content)
    refused("pretrain", "c.toml", "--out", "run")


@pytest.mark.parametrize(
    "index",
    ["", "name\nx\n", "a,b\n1,2,3\n4\n", "name,kind\nx,clustering\n", "\0\1\2", "name,kind\n,regression\n", "name,kind\n", '"name,kind\n'],
    ids=["empty", "one column", "ragged", "no such kind", "binary", "no name", "no rows", "open quote"],
)  # fmt: skip
def test_a_broken_suite_is_one_line(place, refused, index):
    (place / "index.csv").write_text(index)
    refused("bench", ".", "--models", "constant", "--seeds", "0", "--out", "runs", "--quiet")


def test_a_suite_whose_table_is_absent_is_one_line(place, refused):
    (place / "index.csv").write_text("name,kind\nhouses,regression\n")
    said = refused("bench", ".", "--models", "constant", "--seeds", "0", "--out", "runs", "--quiet", codes=(2,))
    assert "table 'houses': regression/houses.parquet is not there" in said and not (place / "runs").exists()


@pytest.mark.parametrize(
    "content", [b"mine", b"a,b\n1,2", b"\xff\xfe\n\0", b"name,kind,seed\n1,2,x\n"], ids=["text", "table", "binary", "nearly"]
)
def test_a_runs_file_that_is_not_ours_is_left_alone(place, refused, content):
    (place / "index.csv").write_text("name,kind\nhouses,regression\n")
    (place / "regression").mkdir()
    (place / "regression" / "houses.parquet").write_bytes(b"")
    (place / "runs.csv").write_bytes(content)
    said = refused("bench", ".", "--models", "constant", "--seeds", "0", "--out", ".", "--quiet", codes=(4,))
    assert "not a CSV of this suite" in said


# ------------------------------------------------------------------------------------------ paths

WRITERS = {  # each command that writes, with the name it writes to
    "fit": "fit new.csv --target y --out OUT --no-baselines --quiet",
    "refine": "refine good.netloom new.csv --until steps=1 --quiet --out OUT",
    "predict": "predict good.netloom new.csv --out OUT",
    "report": "report good.netloom --out OUT",
    "export": "export good.netloom OUT",
}
ENDINGS = {"fit": ".netloom", "refine": ".netloom", "predict": ".csv", "report": ".html", "export": ".py"}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    "out",
    ["no/such/folder/x", "new.csv/x", "taken", "x" * 300, "nul\0byte", "\udc80/x"],
    ids=["no folder", "below a file", "a folder", "too long", "zero byte", "no text"],
)
def test_a_place_that_cannot_be_written_is_one_line(place, refused, writer, out):
    (place / f"taken{ENDINGS[writer]}").mkdir()
    refused(*[out + ENDINGS[writer] if word == "OUT" else word for word in WRITERS[writer].split()])


TRICKS = ["nowhere/../x", "dangling/../x", "good.netloom/../x", "link", "loop", "nowhere/../dangling/x"]


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("out", TRICKS)
def test_dots_and_links_lead_where_the_system_says_or_nowhere(place, refused, writer, out):
    """realpath would take ``nowhere/..`` away and write ``x``; the system knows no such place."""
    ending = ENDINGS[writer]
    os.symlink("gone", "dangling")
    os.symlink(f"nowhere/../x{ending}", f"link{ending}")
    os.symlink(f"loop{ending}", f"loop{ending}")
    refused(*[out + ending if word == "OUT" else word for word in WRITERS[writer].split()], codes=(4,))


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "fit"])  # fit writes as refine does, after more work
def test_dots_through_a_linked_folder_lead_where_the_system_says(place, survives, writer):
    ending = ENDINGS[writer]
    (place / "elsewhere" / "deep").mkdir(parents=True)
    os.symlink("elsewhere/deep", "door")
    os.symlink(f"door/../y{ending}", f"link{ending}")  # a link to a file that is to be
    for out, at in ((f"door/../x{ending}", f"x{ending}"), (f"link{ending}", f"y{ending}"))[writer == "refine" :]:
        result = survives(*[out if word == "OUT" else word for word in WRITERS[writer].split()])
        assert result.exit_code == 0, result.output
        assert (place / "elsewhere" / at).stat().st_size and not (place / at).exists() and os.path.islink("door")
    assert os.path.islink(f"link{ending}")


@pytest.mark.parametrize("how", ["itself", "a link", "a hard link", "by a detour"])
@pytest.mark.parametrize("writer, read", [("fit", "new.csv"), ("refine", "new.csv"), ("predict", "new.csv"), ("report", "good.netloom")])
def test_what_is_read_is_not_written_over(place, refused, writer, read, how):
    ending = ENDINGS[writer]
    (place / "sub").mkdir()
    if how == "itself" and not read.endswith(ending):
        pytest.skip("its ending is refused already")
    out = {"itself": read, "a link": f"link{ending}", "a hard link": f"hard{ending}", "by a detour": f"sub/../by{ending}"}[how]
    if how == "a hard link":
        os.link(read, out)
    elif how != "itself":
        os.symlink(read, out.removeprefix("sub/../"))
    words = [out if word == "OUT" else word for word in WRITERS[writer].split()]
    said = refused(*words, *(["--force"] if writer not in ("predict", "export") else []), codes=(2,))
    assert "is what is read" in said or "is the table itself" in said


@pytest.mark.parametrize("writer", ["fit", "refine"])
def test_a_file_of_mine_is_not_replaced_by_a_network(place, refused, writer):
    (place / "diary.netloom").write_text("Dear diary\n")
    said = refused(*["diary.netloom" if word == "OUT" else word for word in WRITERS[writer].split()], codes=(4,))
    assert "exists and is not a network that can be read; give another --out, or --force" in said


def test_an_update_reads_no_other_file_than_the_system(place, refused):
    os.symlink("gone", "dangling")
    os.symlink("nowhere/../good.netloom", "link.netloom")
    for name in ("dangling/../good.netloom", "link.netloom"):
        refused("update", name, "new.csv", "--table", "new.csv", "--quiet", codes=(4,))


@pytest.mark.parametrize("name", ["-rf.netloom", "--help.netloom", "$(id).netloom", "a b.netloom", "é\u202e.netloom", "a;b&c|d.netloom"])
def test_a_strange_name_is_only_a_name(place, survives, refused, name):
    os.rename("good.netloom", name)
    assert survives("inspect", "--", name).exit_code == 0
    os.rename(name, "good.netloom")
    assert "no such file" in refused("inspect", "--", name, codes=(4,))
