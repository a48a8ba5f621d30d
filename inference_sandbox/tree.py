"""Which run came from which: a run, what it goes on from, and what goes on from it."""

from dataclasses import dataclass

from inference_sandbox import tokens
from inference_sandbox.models import Run
from inference_sandbox.reading import signs

MOST_RUNS = 100  # of a tree on a page
DEEPEST = 32
EXCERPT = 160


@dataclass(frozen=True)
class Node:
    """One run of a tree, as a line of a list."""

    run: Run
    depth: int
    taken: str  # the alternative that was taken; empty for a first run or a next turn
    excerpt: str  # what was written, behind the place where it left its parent
    is_current: bool

    @property
    def place(self) -> int:
        """Which token of the answer was taken otherwise, counted from 1."""
        return len(self.run.forced)


def of_run(run: Run) -> list[Node]:
    """The whole tree that the run stands in, parents before their branches; empty for a tree of one."""
    children: dict[object, list[Run]] = {}
    root, found = _root(run), 1
    level = [root]
    while level and found < MOST_RUNS:
        # The person's own alone: nobody is shown a run by way of another.
        rows = Run.objects.filter(parent__in=level, account=run.account_id).order_by("created_at")
        level = list(rows.select_related("revision")[: MOST_RUNS - found])
        found += len(level)
        for child in level:
            children.setdefault(child.parent_id, []).append(child)
    return _lines(root, children, run) if found > 1 else []


def _root(run: Run) -> Run:
    seen = {run.pk}
    while run.parent_id and run.parent_id not in seen and len(seen) < DEEPEST:
        seen.add(run.parent_id)
        parent = Run.objects.filter(account=run.account_id, pk=run.parent_id)
        above = parent.select_related("revision").first()
        if above is None:
            break
        run = above
    return run


def _lines(root: Run, children: dict[object, list[Run]], current: Run) -> list[Node]:
    lines, waiting = [], [(root, 0)]
    while waiting:
        run, depth = waiting.pop()
        lines.append(_node(run, depth, is_current=run.pk == current.pk))
        waiting += [(child, depth + 1) for child in reversed(children.get(run.pk, []))]
    return lines


def _node(run: Run, depth: int, *, is_current: bool) -> Node:
    if not run.forced:
        return Node(run, depth, "", run.output[:EXCERPT], is_current)
    before = len(tokens.decoded(run.revision, run.forced[:-1]))
    taken = signs(tokens.text_of(run.revision, run.forced[-1]))
    return Node(run, depth, taken, run.output[before : before + EXCERPT], is_current)
