"""Refine: gradient steps on all weights of woven networks until the caller's criterion, kept only where held-out folds are better for
it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from netloom.errors import ConfigError
from netloom.loom import Loom
from netloom.refine.again import with_weights
from netloom.refine.judge import Judge
from netloom.refine.mirror import Mirror, view_features
from netloom.refine.train import Examples, Recipe, steps
from netloom.refine.until import SCORES, Course, NoImprovement, Score, Steps, Until
from netloom.target.network import TargetNetwork
from netloom.target.weights import Weights
from netloom.tasks import Task

__all__ = ["Refined", "refine", "refine_many"]

TOGETHER = 64  # networks in one batch
FOLDS = 3
Progress = Callable[[float, str], None]


@dataclass(frozen=True, eq=False)
class Refined:
    """What came of refining one network.

    Attributes
    ----------
    network : the refined network where held-out rows were better for it, else the one that was given
    kept : which of the two it is
    why : that, in words
    steps : at which the held-out loss was lowest;  taken : steps in all;  seconds, steps_per_second : of training, the whole batch
    before, after, gain, error : held-out loss per row (log loss, or squared error in squared deviations), the difference and its
        standard error; each fold's steps chosen by the other folds
    scores_before, scores_after : held-out scores by name
    curve : (step, held-out loss) at every evaluation of the rate that came out best
    """

    network: TargetNetwork
    kept: bool
    why: str
    steps: int = 0
    taken: int = 0
    seconds: float = 0.0
    steps_per_second: float = 0.0
    before: float = float("nan")
    after: float = float("nan")
    gain: float = 0.0
    error: float = 0.0
    scores_before: dict[str, float] = field(default_factory=dict)
    scores_after: dict[str, float] = field(default_factory=dict)
    curve: tuple[tuple[int, float], ...] = ()


def refine(
    network: TargetNetwork,
    task: Task,
    until: Until | None = None,
    *,
    loom: Loom | None = None,
    recipe: Recipe | None = None,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> TargetNetwork:
    """Train a woven network until satisfied, guarded by held-out folds.

    In each fold a network with the same families is woven on the other rows and refined beside the whole network; the number of steps
    that its held-out rows like best is the number of steps the whole network gets. It is returned only where held-out rows are better
    for it; ``metrics["refined"]`` says so, by how much, and where it stopped.

    Parameters
    ----------
    network : from `netloom.fit` or `Loom.weave`
    task : the rows it was woven from
    until : ``Score("log_loss", 0.3) | NoImprovement(200) | Seconds(30) | Steps(1000)``, joined by ``|`` and ``&``; by default
        ``NoImprovement(250) | Steps(992)``
    loom : the hypernetwork that weaves the folds, by default the one that comes with netloom
    recipe : how steps are taken
    folds : how many
    progress : called with the share done (0 to 1) and a message with rate and time left

    An interrupt (Ctrl-C) while steps are taken ends them, and the best so far is judged and returned.

    Raises
    ------
    ConfigError : for a criterion that does not fit the task
    DataError : if the task is not the network's
    """
    return refine_many([network], [task], until, loom=loom, recipe=recipe, folds=folds, progress=progress)[0].network


def refine_many(
    networks: Sequence[TargetNetwork],
    tasks: Sequence[Task],
    until: Until | None = None,
    *,
    loom: Loom | None = None,
    recipe: Recipe | None = None,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> list[Refined]:
    """Refine many networks, those with the same head and number of outputs in one batch; see `refine`. Each stops on its own."""
    if len(networks) != len(tasks):
        raise ConfigError(f"refine_many: {len(networks)} networks but {len(tasks)} tasks; give one task per network")
    if folds < 2:
        raise ConfigError(f"folds = {folds}: must be at least 2, or nothing is held out")
    until = NoImprovement(250) | Steps(992) if until is None else until
    if not isinstance(until, Until):
        raise ConfigError(f"until = {until!r}: is no criterion; join Score, NoImprovement, Seconds and Steps by | and &")
    for network in networks:
        for criterion in until.parts():
            if isinstance(criterion, Score) and criterion.name not in SCORES[network.kind]:
                raise ConfigError(f"until {criterion}: a {network.kind} network has {' and '.join(SCORES[network.kind])}; use one of them")
    loom, recipe = loom or Loom.pretrained(), recipe or Recipe()
    tell = progress or (lambda share, message: None)
    done: dict[int, Refined] = {}
    judges: dict[int, Judge] = {}
    for i, (network, task) in enumerate(zip(networks, tasks, strict=True)):
        tell(0.3 * i / len(tasks), f"weaving {folds} folds" + (f" of task {i + 1} of {len(tasks)}" if len(tasks) > 1 else ""))
        judge = Judge.of(network, task, loom, folds)
        if judge is None:
            why = f"{task.n} rows are too few to judge by; left as woven"
            done[i] = Refined(_noted(network, {"kept": False, "why": why}), False, why)
        else:
            judges[i] = judge
    groups = list(_groups(judges, len(recipe.rates)))
    for g, group in enumerate(groups):
        start, width = 0.3 + 0.7 * g / len(groups), 0.7 / len(groups)
        runs, interrupted = _run([judges[i] for i in group], until, recipe, _within(tell, start, width))
        done |= dict(zip(group, runs, strict=True))
        if interrupted:  # what has not begun stays as it was
            for i in set(judges) - set(done):
                done[i] = Refined(_noted(networks[i], {"kept": False, "why": "interrupted"}), False, "interrupted before the first step")
            break
    tell(1.0, "done")
    return [done[i] for i in range(len(tasks))]


def _within(tell: Progress, start: float, width: float) -> Progress:
    """Progress of one part of the work."""
    return lambda share, message: tell(start + width * share, message)


def _groups(judges: dict[int, Judge], lanes: int) -> Iterator[list[int]]:
    """Networks that train in one batch: one loss, as many outputs, similar sizes next to each other."""

    def key(i: int) -> tuple[str, int, int]:
        network = judges[i].network
        return str(network.architecture.get("head")), network.weights.readout.shape[1], network.n_parameters

    group: list[int] = []
    for i in sorted(judges, key=key):
        size = lanes * len(judges[i].networks)
        if group and (key(i)[:2] != key(group[0])[:2] or (len(group) + 1) * size > TOGETHER):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _run(judges: list[Judge], until: Until, recipe: Recipe, tell: Progress) -> tuple[list[Refined], bool]:
    """Take steps, at every rate side by side, until every criterion is met, or the caller interrupts."""
    starts: dict[tuple[int, int], int] = {}  # (judge, lane): the first of its networks in the batch
    networks: list[Weights] = []
    examples: list[Examples] = []
    factors: list[float] = []
    gains: list[float] = []
    courses: dict[tuple[int, int], Course] = {}
    stopped: dict[tuple[int, int], str] = {}
    for j, judge in enumerate(judges):
        judge.evaluate(0, judge.networks)
        own = judge.examples()
        for lane, rate in enumerate(recipe.rates):
            starts[j, lane] = len(networks)
            networks += judge.networks
            examples += own
            factors += [judge.factor()] * len(own)
            gains += [rate / recipe.rates[0]] * len(own)
            courses[j, lane] = Course(scores=judge.scores())
            if until.met(courses[j, lane]):
                stopped[j, lane] = f"{until} was met before the first step"
    seconds, interrupted = 0.0, False
    if len(stopped) < len(courses):
        mirror = Mirror(networks, [view_features(w, e.X[:4096]) for w, e in zip(networks, examples, strict=True)], gains)
        head = str(judges[0].network.architecture.get("head", "logistic"))
        began, due = time.perf_counter(), 8
        try:
            for step in steps(mirror, examples, head, recipe, factors):
                open_ = [key for key in courses if key not in stopped]
                for key in open_:
                    courses[key].step, courses[key].seconds = step, time.perf_counter() - began
                if step < due and not any(until.met(courses[key]) for key in open_):
                    continue
                due = step + max(8, step // 10)
                for j, lane in open_:
                    judge, course, first = judges[j], courses[j, lane], starts[j, lane]
                    try:
                        judge.evaluate(step, [mirror.weights(b) for b in range(first, first + len(judge.networks))], lane)
                    except FloatingPointError:
                        stopped[j, lane] = "diverged; the best before is what counts"
                        continue
                    course.scores, course.best_step = judge.scores(), judge.best_step(lane)
                    if until.met(course):
                        stopped[j, lane] = f"{until} met"
                if len(stopped) == len(courses):
                    break
                tell(*_said(judges[0], [courses[key] for key in courses if key not in stopped], until))
        except KeyboardInterrupt:
            interrupted = True
        seconds = time.perf_counter() - began
    done = []
    for j, judge in enumerate(judges):
        lane = max(judge.lanes[judge.best_at], 0)
        course = courses[j, lane]
        course.step = max(courses[j, other].step for other in range(len(recipe.rates)))
        done.append(_verdict(judge, course, seconds, stopped.get((j, lane), "interrupted"), recipe.rates[lane]))
    return done, interrupted


def _said(judge: Judge, courses: list[Course], until: Until) -> tuple[float, str]:
    """Share done and a line: step, rate, score now and before, time left."""
    share = min(until.share(course) for course in courses)
    course = courses[0]
    name = SCORES[judge.network.kind][0]
    left = f", {course.seconds * (1 - share) / share:.0f} s left" if share > 0.02 else ""
    best, woven = judge.scores(judge.best_at)[name], judge.scores(0)[name]
    rate = course.step / max(course.seconds, 1e-9)
    return share, f"step {course.step}, {rate:.1f}/s, {name.replace('_', ' ')} {best:.4g} (woven {woven:.4g}){left}"


def _verdict(judge: Judge, course: Course, seconds: float, stopped: str, learning_rate: float) -> Refined:
    """Keep or refuse, and say why."""
    verdict = judge.verdict()
    at = judge.best_at
    before, after = judge.scores(0), judge.scores(at)
    network = judge.network
    gain = f"{verdict.gain:.3g} +- {verdict.error:.2g} per held-out row"
    rate = course.step / seconds if seconds > 0 else 0.0
    note = {
        "kept": verdict.better,
        "steps": verdict.steps,
        "rate": learning_rate,
        "taken": course.step,
        "stopped": stopped,
        "loss": "log loss" if network.kind == "classification" else "squared error in squared deviations",
        "before": verdict.before,
        "after": verdict.after,
        "gain": verdict.gain,
        "gain_se": verdict.error,
        "folds": len(judge.folds),
    }
    if verdict.better:
        assert judge.best is not None
        why = f"refined for {verdict.steps} steps at rate {learning_rate:g}: better by {gain}; {stopped}"
        metrics, extra = judge.metrics()
        made = with_weights(network, judge.best, extra)
        made = replace(made, metrics=network.metrics | metrics)
        version = int(network.provenance.get("version", 1)) + 1
        made = replace(made, provenance=network.provenance | {"version": version})
    else:
        made = network
        tried = f"the best of {course.step} steps" if verdict.steps else f"none of {course.step} steps was better"
        why = f"left as woven: {tried}, {gain}; {stopped}"
    if not course.step:
        why = f"left as woven: {stopped}"
    curve = tuple((judge.steps[i], judge.loss(i)) for i in judge.of_lane(max(judge.lanes[at], 0)))
    return Refined(
        _noted(made, note | {"why": why}), verdict.better, why, verdict.steps, course.step, seconds, rate,
        verdict.before, verdict.after, verdict.gain, verdict.error, before, after, curve,
    )  # fmt: skip


def _noted(network: TargetNetwork, note: dict) -> TargetNetwork:
    """The same network with what refining found, in its metrics."""
    plain = {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in note.items()}
    return replace(network, metrics=network.metrics | {"refined": plain})
