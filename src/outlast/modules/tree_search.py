"""`TreeSearch`: answers that grow from answers, searched by Monte Carlo tree search or by beam."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.errors import SignatureError, UsageError, brief
from outlast.modules.attempts import (
    Allowance,
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    best,
    check_budget,
    check_count,
    check_number,
    check_reward,
    failed,
    told,
)
from outlast.modules.deriving import Step, as_text, free_name, with_inputs
from outlast.modules.predict import Predict
from outlast.modules.strategy import P, R, Strategy, as_module, refuse_same_draws, signature_of
from outlast.runtime import Budget, gather

Method = Literal["mcts", "beam"]

_BETTER = (
    "An earlier answer to this and what was said of it are given. Find what is wrong or weak in it and give a better "
    "answer."
)


@dataclass(slots=True, eq=False)
class Node:
    """An answer in the tree. `total` sums the worth of everything at and below it, `visits` counts it; `awaited` of
    the visits have no worth yet."""

    parent: Node | None
    depth: int
    number: int = 0  # of its draw: two nodes may be asked the same, and are to be answered independently
    made: Attempt | None = None  # None for the root, and while the answer is awaited
    index: int = -1  # in the order of attempts
    children: list[Node] = field(default_factory=list["Node"])
    total: float = 0.0
    visits: int = 0
    awaited: int = 0

    def above(self) -> Iterator[Node]:
        """This node and all up to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent


class TreeSearch(Strategy[P, R]):
    """Search a tree of answers: a child of the root is a fresh answer, a child of an answer is a better one made from
    it and from what the reward said of it.

    `method="mcts"`: each round goes down from the root to the child with the highest upper confidence bound (UCT,
    Kocsis and Szepesvari 2006) until a node has fewer than `branch` children, adds one there, and counts its reward on
    the way up; for language models Zhou et al. 2023 (LATS, arXiv 2310.04406) and Zhang et al. 2024 (answers as nodes,
    arXiv 2406.07394). `explore` weighs the seldom visited against the good; rewards are scaled to 0..1 by
    those seen, so any will do. `method="beam"`: `branch` answers, the best `width` of them grow `branch` children each,
    and so on (Xie et al. 2023, arXiv 2305.00633). No path is longer than `depth`. The answer with the highest reward is
    given.

    `n` is how many answers are made at most; the search ends before at a reward of `threshold`, and with the `budget`;
    then the best so far is given. `at_once` answers of one round of mcts are made at the same time.
    Cost: at most `n` calls of `inner` (near the root) and of `better` (below it), and as many of a reward that is a
    module.
    """

    inner: Any
    n: int
    reward: Reward
    method: Method
    branch: int
    width: int
    depth: int
    explore: float
    threshold: float | None
    at_once: int
    budget: Budget | None
    better: Predict[..., Any]

    def __init__(
        self,
        inner: Callable[P, R] | str | None = None,
        *,
        n: int,
        reward: Reward,
        method: Method = "mcts",
        branch: int = 3,
        width: int = 2,
        depth: int = 4,
        explore: float = 1.0,
        threshold: float | None = None,
        at_once: int = 1,
        budget: Budget | None = None,
    ) -> None:
        if method not in ("mcts", "beam"):
            raise UsageError(f"TreeSearch(method=...) is 'mcts' or 'beam'; got {brief(method)}")
        if check_number("TreeSearch", "explore", explore) < 0:
            raise UsageError(f"TreeSearch(explore=...) is a number from 0; got {brief(explore)}")
        self.inner = as_module(inner, "TreeSearch")
        self.signature = signature_of(self.inner)
        if self.signature is None:
            raise SignatureError(
                f"TreeSearch makes answers from answers, so it needs a signature; {type(self.inner).__name__} answers "
                f"none of its own. BestOfN(...) takes any program"
            )
        self.n = check_count("TreeSearch", "n", n)
        self.reward = check_reward(reward, "TreeSearch")
        self.method = method
        self.branch = check_count("TreeSearch", "branch", branch)
        self.width = check_count("TreeSearch", "width", width)
        self.depth = check_count("TreeSearch", "depth", depth)
        self.explore = explore
        self.threshold = None if threshold is None else check_number("TreeSearch", "threshold", threshold)
        self.at_once = check_count("TreeSearch", "at_once", at_once)
        self.budget = check_budget(budget, "TreeSearch")
        self.better = Predict(_better(self.signature))
        refuse_same_draws(self.inner, n, "TreeSearch")

    async def forward(self, /, **inputs: Any) -> Any:
        with allowance(self.budget) as allowed:
            search = Search(self, inputs, allowed)
            await (search.mcts() if self.method == "mcts" else search.beam())
            stopped = "enough" if search.enough else allowed.stopped
        attempts = tuple(search.attempts)
        chosen = best(attempts)
        if chosen is None:
            raise failed("TreeSearch", attempts)
        facts = {
            "reward": attempts[chosen].reward,
            "depth": search.nodes[chosen].depth,
            "parents": [node.parent.index if node.parent else -1 for node in search.nodes],
        }
        return told(attempts[chosen].result, Outcome("TreeSearch", attempts, chosen, stopped, facts))


def _better(signature: Any) -> Any:
    """The signature of the step that makes an answer from an answer."""
    fields = {
        free_name(signature, "earlier_answer"): (str, "the answer to do better than"),
        free_name(signature, "said_of_it"): (str, "what was said of the earlier answer"),
    }
    return with_inputs(signature, _BETTER, fields)


class Search:
    """One search: the tree, and every attempt in the order in which it was begun."""

    def __init__(self, strategy: TreeSearch[..., Any], inputs: Mapping[str, Any], allowed: Allowance) -> None:
        self.strategy = strategy
        self.inputs = inputs
        self.allowed = allowed
        self.root = Node(None, 0)
        self.nodes: list[Node] = []
        self.attempts: list[Attempt] = []
        self._planted_so_far = 0

    @property
    def enough(self) -> bool:
        """Whether an answer is good enough to end before all are made."""
        threshold = self.strategy.threshold
        reached = (
            one.ok and one.reward is not None and one.reward >= threshold
            for one in self.attempts
            if threshold is not None
        )
        return any(reached) and len(self.attempts) < self.strategy.n

    @property
    def over(self) -> bool:
        """Whether nothing more is to be made."""
        return len(self.attempts) >= self.strategy.n or self.enough or self.allowed.stopped is not None

    async def mcts(self) -> None:
        """Rounds of going down, growing and counting, until the search is over or the tree is full."""
        while not self.over:
            chosen: list[Node] = []
            room = self.strategy.n - len(self.attempts)
            for _ in range(min(self.strategy.at_once, room)):
                node = self._down()
                if node is None:
                    break
                chosen.append(self._planted(node))
            if not chosen:
                return
            await self._grow(chosen)

    async def beam(self) -> None:
        """Level after level, each from the best of the one before."""
        frontier = [self.root]
        for _ in range(self.strategy.depth):
            room = self.strategy.n - len(self.attempts)
            if self.over or not frontier:
                return
            level = [self._planted(node) for node in frontier for _ in range(self.strategy.branch)][:room]
            await self._grow(level)
            ranked = sorted((node for node in level if _grown(node)), key=_worth, reverse=True)
            frontier = ranked[: self.strategy.width]

    def _down(self) -> Node | None:
        """The node that gets the next child; None when the tree is full."""
        node = self.root
        while len(node.children) >= self._most_children(node):
            open_ones = [child for child in node.children if self._has_room(child)]
            if not open_ones:
                return None
            node = max(open_ones, key=lambda child: self._bound(child))
        return node

    def _most_children(self, node: Node) -> int:
        if node.depth >= self.strategy.depth or (node.made is None and node is not self.root) or not _grown(node):
            return 0
        return self.strategy.branch

    def _has_room(self, node: Node) -> bool:
        most = self._most_children(node)
        return len(node.children) < most or any(self._has_room(child) for child in node.children)

    def _bound(self, node: Node) -> float:
        """The upper confidence bound of the mean worth of a node."""
        low, high = self._range()
        mean = (node.total + low * node.awaited) / node.visits  # what is awaited may be bad: go elsewhere meanwhile
        scaled = (mean - low) / (high - low) if high > low else 0.5
        parent = node.parent.visits if node.parent else 1
        return scaled + self.strategy.explore * math.sqrt(math.log(max(parent, 1)) / max(node.visits, 1))

    def _range(self) -> tuple[float, float]:
        rewards = [one.reward for one in self.attempts if one.reward is not None] or [0.0]
        return min(rewards), max(rewards)

    def _planted(self, parent: Node) -> Node:
        """A new child, counted at once."""
        child = Node(parent, parent.depth + 1, number=self._planted_so_far)
        self._planted_so_far += 1
        parent.children.append(child)
        for node in child.above():
            node.visits += 1
            node.awaited += 1
        return child

    async def _grow(self, nodes: list[Node]) -> None:
        """Make the answers of planted nodes at the same time, and count what they are worth on the way up."""
        made = await gather(*(self._made(node) for node in nodes))
        low = self._range()[0]
        for node, one in zip(nodes, made, strict=True):
            node.made, node.index = one, len(self.attempts)
            self.attempts.append(one)
            self.nodes.append(node)
            worth = low if one.reward is None else one.reward
            for upper in node.above():
                upper.total += worth
                upper.awaited -= 1

    async def _made(self, node: Node) -> Attempt:
        strategy = self.strategy
        parent = node.parent
        assert parent is not None
        if parent.made is None:
            return await attempt(
                strategy.inner, self.inputs, node.number, strategy.n, self.allowed, strategy.reward, "inner"
            )
        names = list(strategy.better.signature.inputs)[-2:]
        shown = dict(zip(names, (as_text(strategy.signature, parent.made.result), _said(parent.made)), strict=True))
        step = Step(strategy.better, strategy.signature, self.inputs, shown)
        return await attempt(step, self.inputs, node.number, strategy.n, self.allowed, strategy.reward, "better")


def _said(one: Attempt) -> str:
    worth = "it could not be judged" if one.reward is None else f"its score is {one.reward:g}"
    return f"{one.feedback}\n({worth})" if one.feedback else worth


def _grown(node: Node) -> bool:
    """Whether anything can be made from a node."""
    return node.made is None or node.made.ok


def _worth(node: Node) -> float:
    made = node.made
    return -math.inf if made is None or made.reward is None else made.reward
