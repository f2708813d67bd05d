"""outlast: program language models instead of prompting them.

Signatures say what each step does, metrics and checks what good means, plain Python how the steps go together;
the compiler fills in the rest and proves the gain. Names are loaded when they are first used.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # type checkers take it for typing's, which would be half of the cost of this import
if TYPE_CHECKING:
    from outlast import checks as checks
    from outlast import errors as errors
    from outlast import testing as testing
    from outlast.adapters.chat import Chat as Chat
    from outlast.adapters.decisions import Decisions as Decisions
    from outlast.adapters.json import JSON as JSON
    from outlast.adapters.native import Tools as Tools
    from outlast.adapters.protocol import Adapter as Adapter
    from outlast.adapters.protocol import Demo as Demo
    from outlast.adapters.protocol import Nearest as Nearest
    from outlast.adapters.two_step import TwoStep as TwoStep
    from outlast.adapters.xml import XML as XML
    from outlast.artifact import load as load
    from outlast.artifact import save as save
    from outlast.checks.check import Check as Check
    from outlast.checks.check import CheckResult as CheckResult
    from outlast.checks.check import Found as Found
    from outlast.checks.check import check as check
    from outlast.checks.reported import Checked as Checked
    from outlast.data.dataset import Dataset as Dataset
    from outlast.data.example import Example as Example
    from outlast.errors import OutlastError as OutlastError
    from outlast.errors import Suspend as Suspend
    from outlast.evals.calibrate import Calibrated as Calibrated
    from outlast.evals.calibrate import acalibrate as acalibrate
    from outlast.evals.calibrate import calibrate as calibrate
    from outlast.evals.classifiers.classifier import Classifier as Classifier
    from outlast.evals.classifiers.deciding import Abstain as Abstain
    from outlast.evals.classifiers.distilling import adistill as adistill
    from outlast.evals.classifiers.distilling import distill as distill
    from outlast.evals.classifiers.train import train_classifier as train_classifier
    from outlast.evals.comparing.compare import compare as compare
    from outlast.evals.epochs import Epochs as Epochs
    from outlast.evals.estimate import estimate as estimate
    from outlast.evals.evaluate import aevaluate as aevaluate
    from outlast.evals.evaluate import evaluate as evaluate
    from outlast.evals.judging.agreeing import agrees as agrees
    from outlast.evals.judging.align import aalign as aalign
    from outlast.evals.judging.align import align as align
    from outlast.evals.judging.judge import Judge as Judge
    from outlast.evals.judging.judges import Judges as Judges
    from outlast.evals.judging.label import Label as Label
    from outlast.evals.judging.labels import Labels as Labels
    from outlast.evals.judging.pair import PairJudge as PairJudge
    from outlast.evals.judging.pairwise import apairwise as apairwise
    from outlast.evals.judging.pairwise import pairwise as pairwise
    from outlast.evals.judging.rate import aestimate_rate as aestimate_rate
    from outlast.evals.judging.rate import estimate_rate as estimate_rate
    from outlast.evals.judging.rubric import Rubric as Rubric
    from outlast.evals.metrics import answer_in as answer_in
    from outlast.evals.metrics import exact_match as exact_match
    from outlast.evals.metrics import json_equal as json_equal
    from outlast.evals.metrics import numeric as numeric
    from outlast.evals.metrics import token_f1 as token_f1
    from outlast.evals.proposing.propose import apropose_checks as apropose_checks
    from outlast.evals.proposing.propose import propose_checks as propose_checks
    from outlast.evals.rescore import arescore as arescore
    from outlast.evals.rescore import rescore as rescore
    from outlast.evals.score import Score as Score
    from outlast.evals.score import metric as metric
    from outlast.evals.score import unscored as unscored
    from outlast.evals.statistics.planning import plan_eval as plan_eval
    from outlast.lms.batch.batched import Batched as Batched
    from outlast.lms.batch.batched import Batches as Batches
    from outlast.lms.caching.cache import Cached as Cached
    from outlast.lms.caching.cassette import Cassette as Cassette
    from outlast.lms.caching.redis_cache import RedisCache as RedisCache
    from outlast.lms.caching.semantic import SemanticCache as SemanticCache
    from outlast.lms.layers.adaptive import AdaptiveLimited as AdaptiveLimited
    from outlast.lms.layers.balance import Balanced as Balanced
    from outlast.lms.layers.breaker import CircuitBreaker as CircuitBreaker
    from outlast.lms.layers.budget import Budgeted as Budgeted
    from outlast.lms.layers.budget import budget as budget
    from outlast.lms.layers.deadline import Timeout as Timeout
    from outlast.lms.layers.hedge import Hedged as Hedged
    from outlast.lms.layers.limit import Limited as Limited
    from outlast.lms.layers.pinned import Pinned as Pinned
    from outlast.lms.layers.rate import RateLimited as RateLimited
    from outlast.lms.layers.retry import Retrying as Retrying
    from outlast.lms.layers.route import Routed as Routed
    from outlast.lms.prices import Price as Price
    from outlast.lms.protocol import LM as LM
    from outlast.lms.protocol import Capabilities as Capabilities
    from outlast.messages import Decision as Decision
    from outlast.messages import Finished as Finished
    from outlast.messages import History as History
    from outlast.messages import Message as Message
    from outlast.messages import OutputSchema as OutputSchema
    from outlast.messages import Question as Question
    from outlast.messages import Request as Request
    from outlast.messages import Response as Response
    from outlast.messages import Settings as Settings
    from outlast.messages import TextDelta as TextDelta
    from outlast.messages import TextPart as TextPart
    from outlast.messages import ThoughtDelta as ThoughtDelta
    from outlast.messages import ToolCall as ToolCall
    from outlast.messages import ToolDelta as ToolDelta
    from outlast.messages import ToolResult as ToolResult
    from outlast.messages import Usage as Usage
    from outlast.messages.progress import Answered as Answered
    from outlast.messages.progress import FieldDelta as FieldDelta
    from outlast.messages.progress import Final as Final
    from outlast.messages.progress import Partial as Partial
    from outlast.messages.progress import Restarted as Restarted
    from outlast.messages.progress import Status as Status
    from outlast.messages.progress import Thinking as Thinking
    from outlast.messages.progress import ToolCalled as ToolCalled
    from outlast.messages.progress import ToolReturned as ToolReturned
    from outlast.modules.agent_state import AgentState as AgentState
    from outlast.modules.agent_state import AgentTurn as AgentTurn
    from outlast.modules.attempts import Attempt as Attempt
    from outlast.modules.attempts import Outcome as Outcome
    from outlast.modules.best_of_n import BestOfN as BestOfN
    from outlast.modules.cascade import Cascade as Cascade
    from outlast.modules.chain_of_thought import ChainOfThought as ChainOfThought
    from outlast.modules.checkpoint import checkpoint as checkpoint
    from outlast.modules.code_act import CodeAct as CodeAct
    from outlast.modules.debate import Debate as Debate
    from outlast.modules.ensemble import Ensemble as Ensemble
    from outlast.modules.export import export as export
    from outlast.modules.fallback import Fallback as Fallback
    from outlast.modules.guard import guard as guard
    from outlast.modules.majority import Majority as Majority
    from outlast.modules.map_reduce import MapReduce as MapReduce
    from outlast.modules.module import Module as Module
    from outlast.modules.multi_chain_comparison import MultiChainComparison as MultiChainComparison
    from outlast.modules.parallel import Parallel as Parallel
    from outlast.modules.paths import modules_of as modules_of
    from outlast.modules.paths import parameters as parameters
    from outlast.modules.paths import update as update
    from outlast.modules.plan_and_execute import PlanAndExecute as PlanAndExecute
    from outlast.modules.predict import Predict as Predict
    from outlast.modules.predict import predict as predict
    from outlast.modules.program_of_thought import ProgramOfThought as ProgramOfThought
    from outlast.modules.react import ReAct as ReAct
    from outlast.modules.recipe import Recipe as Recipe
    from outlast.modules.refine import Refine as Refine
    from outlast.modules.retry import Retry as Retry
    from outlast.modules.rlm import RLM as RLM
    from outlast.modules.route import Route as Route
    from outlast.modules.settings import context as context
    from outlast.modules.spaces import Choice as Choice
    from outlast.modules.spaces import Float as Float
    from outlast.modules.spaces import Int as Int
    from outlast.modules.spaces import Text as Text
    from outlast.modules.strategy import Strategy as Strategy
    from outlast.modules.streaming import Stream as Stream
    from outlast.modules.tree_search import TreeSearch as TreeSearch
    from outlast.modules.values import param as param
    from outlast.optimize.anything import Optimized as Optimized
    from outlast.optimize.anything import aoptimize as aoptimize
    from outlast.optimize.anything import load_params as load_params
    from outlast.optimize.anything import optimize as optimize
    from outlast.optimize.auto import Auto as Auto
    from outlast.optimize.bootstrap import BootstrapFewShot as BootstrapFewShot
    from outlast.optimize.capo import CAPO as CAPO
    from outlast.optimize.committee import Committee as Committee
    from outlast.optimize.compile import Compiled as Compiled
    from outlast.optimize.compile import acompile as acompile
    from outlast.optimize.compile import compile as compile
    from outlast.optimize.copro import COPRO as COPRO
    from outlast.optimize.explaining import Explanation as Explanation
    from outlast.optimize.explaining import explain as explain
    from outlast.optimize.gepa import GEPA as GEPA
    from outlast.optimize.gepa_adapter import from_gepa as from_gepa
    from outlast.optimize.gepa_adapter import gepa_adapter as gepa_adapter
    from outlast.optimize.gepa_package import GepaPackage as GepaPackage
    from outlast.optimize.headroom import aheadroom as aheadroom
    from outlast.optimize.headroom import headroom as headroom
    from outlast.optimize.infer_rules import InferRules as InferRules
    from outlast.optimize.knn import KNNFewShot as KNNFewShot
    from outlast.optimize.labeled import LabeledFewShot as LabeledFewShot
    from outlast.optimize.mipro import MIPRO as MIPRO
    from outlast.optimize.operators.protocol import Operator as Operator
    from outlast.optimize.operators.prune import Prune as Prune
    from outlast.optimize.operators.reflect import ReflectEdit as ReflectEdit
    from outlast.optimize.opro import OPRO as OPRO
    from outlast.optimize.param_search import ParamSearch as ParamSearch
    from outlast.optimize.prefer import Prefer as Prefer
    from outlast.optimize.protocol import Optimizer as Optimizer
    from outlast.optimize.pruning import Pruned as Pruned
    from outlast.optimize.pruning import aprune as aprune
    from outlast.optimize.pruning import prune as prune
    from outlast.optimize.random_search import RandomSearch as RandomSearch
    from outlast.optimize.reported import report_cost as report_cost
    from outlast.optimize.simba import SIMBA as SIMBA
    from outlast.optimize.space_search import SpaceSearch as SpaceSearch
    from outlast.optimize.strategies import StrategySearch as StrategySearch
    from outlast.optimize.structure_search import StructureSearch as StructureSearch
    from outlast.optimize.study import Study as Study
    from outlast.optimize.textgrad import TextGrad as TextGrad
    from outlast.runtime import Budget as Budget
    from outlast.runtime import Span as Span
    from outlast.runtime import Trace as Trace
    from outlast.runtime import gather as gather
    from outlast.runtime import io as io
    from outlast.runtime import sleep as sleep
    from outlast.runtime.watching import status as status
    from outlast.sandbox.bubblewrap import Bubblewrap as Bubblewrap
    from outlast.sandbox.escalating import Escalating as Escalating
    from outlast.sandbox.local import Local as Local
    from outlast.sandbox.monty import Monty as Monty
    from outlast.sandbox.protocol import Sandbox as Sandbox
    from outlast.sandbox.pyodide import Pyodide as Pyodide
    from outlast.sandbox.values import Executed as Executed
    from outlast.sandbox.values import Limits as Limits
    from outlast.signatures.field import Field as Field
    from outlast.signatures.field import input as input
    from outlast.signatures.field import output as output
    from outlast.signatures.record import Prediction as Prediction
    from outlast.signatures.record import checks_of as checks_of
    from outlast.signatures.record import fields_of as fields_of
    from outlast.signatures.record import outputs_of as outputs_of
    from outlast.signatures.signature import Signature as Signature
    from outlast.signatures.spelling import signature as signature
    from outlast.tools.calling import Toolbox as Toolbox
    from outlast.tools.making import tool as tool
    from outlast.tools.mcp.server import MCP as MCP
    from outlast.tools.terminal import ask_in_terminal as ask_in_terminal
    from outlast.tracing.answering import replaying as replaying
    from outlast.tracing.cassettes import write_cassette as write_cassette
    from outlast.tracing.examples import examples_from_traces as examples_from_traces
    from outlast.tracing.feedback import feedback as feedback
    from outlast.tracing.history import history as history
    from outlast.tracing.imports.logs import import_log as import_log
    from outlast.tracing.otel.live import OTel as OTel
    from outlast.tracing.record import TraceFilter as TraceFilter
    from outlast.tracing.replay import Replay as Replay
    from outlast.tracing.replay import areplay as areplay
    from outlast.tracing.replay import replay as replay
    from outlast.tracing.store import Store as Store
    from outlast.tracing.store import open_store as open_store
    from outlast.tracing.switch import configure as configure
    from outlast.tracing.switch import trace as trace
    from outlast.types import Audio as Audio
    from outlast.types import Code as Code
    from outlast.types import Document as Document
    from outlast.types import File as File
    from outlast.types import Image as Image
    from outlast.types import Tool as Tool

_HOMES = {
    "adapters.chat": "Chat",
    "adapters.decisions": "Decisions",
    "adapters.json": "JSON",
    "adapters.native": "Tools",
    "adapters.protocol": "Adapter Demo Nearest",
    "adapters.two_step": "TwoStep",
    "adapters.xml": "XML",
    "artifact": "load save",
    "data.dataset": "Dataset",
    "data.example": "Example",
    "checks.check": "Check CheckResult Found check",
    "checks.reported": "Checked",
    "errors": "OutlastError Suspend",
    "evals.calibrate": "Calibrated acalibrate calibrate",
    "evals.classifiers.classifier": "Classifier",
    "evals.classifiers.deciding": "Abstain",
    "evals.classifiers.distilling": "adistill distill",
    "evals.classifiers.train": "train_classifier",
    "evals.comparing.compare": "compare",
    "evals.epochs": "Epochs",
    "evals.estimate": "estimate",
    "evals.evaluate": "aevaluate evaluate",
    "evals.judging.agreeing": "agrees",
    "evals.judging.align": "aalign align",
    "evals.judging.judge": "Judge",
    "evals.judging.judges": "Judges",
    "evals.judging.label": "Label",
    "evals.judging.labels": "Labels",
    "evals.judging.pair": "PairJudge",
    "evals.judging.pairwise": "apairwise pairwise",
    "evals.judging.rate": "aestimate_rate estimate_rate",
    "evals.judging.rubric": "Rubric",
    "evals.metrics": "answer_in exact_match json_equal numeric token_f1",
    "evals.rescore": "arescore rescore",
    "evals.proposing.propose": "apropose_checks propose_checks",
    "evals.score": "Score metric unscored",
    "evals.statistics.planning": "plan_eval",
    "lms.layers.adaptive": "AdaptiveLimited",
    "lms.layers.balance": "Balanced",
    "lms.batch.batched": "Batched Batches",
    "lms.layers.breaker": "CircuitBreaker",
    "lms.layers.budget": "Budgeted budget",
    "lms.layers.deadline": "Timeout",
    "lms.layers.hedge": "Hedged",
    "lms.layers.limit": "Limited",
    "lms.layers.pinned": "Pinned",
    "lms.prices": "Price",
    "lms.layers.rate": "RateLimited",
    "lms.layers.retry": "Retrying",
    "lms.layers.route": "Routed",
    "lms.caching.semantic": "SemanticCache",
    "lms.caching.cache": "Cached",
    "lms.caching.cassette": "Cassette",
    "lms.protocol": "LM Capabilities",
    "lms.caching.redis_cache": "RedisCache",
    "messages": "Decision Finished History Message OutputSchema Question Request Response Settings TextDelta TextPart "
    "ThoughtDelta ToolCall ToolDelta ToolResult Usage",
    "modules.attempts": "Attempt Outcome",
    "modules.agent_state": "AgentState AgentTurn",
    "modules.best_of_n": "BestOfN",
    "messages.progress": "Answered FieldDelta Final Partial Restarted Status Thinking ToolCalled ToolReturned",
    "modules.cascade": "Cascade",
    "modules.multi_chain_comparison": "MultiChainComparison",
    "modules.chain_of_thought": "ChainOfThought",
    "modules.checkpoint": "checkpoint",
    "modules.code_act": "CodeAct",
    "modules.program_of_thought": "ProgramOfThought",
    "modules.rlm": "RLM",
    "modules.debate": "Debate",
    "modules.map_reduce": "MapReduce",
    "modules.tree_search": "TreeSearch",
    "modules.ensemble": "Ensemble",
    "modules.fallback": "Fallback",
    "modules.guard": "guard",
    "modules.parallel": "Parallel",
    "modules.retry": "Retry",
    "modules.route": "Route",
    "modules.export": "export",
    "modules.majority": "Majority",
    "modules.module": "Module",
    "modules.recipe": "Recipe",
    "modules.refine": "Refine",
    "modules.strategy": "Strategy",
    "modules.paths": "modules_of parameters update",
    "modules.plan_and_execute": "PlanAndExecute",
    "modules.predict": "Predict predict",
    "modules.react": "ReAct",
    "modules.settings": "context",
    "modules.streaming": "Stream",
    "modules.spaces": "Choice Float Int Text",
    "modules.values": "param",
    "optimize.auto": "Auto",
    "optimize.anything": "Optimized aoptimize load_params",
    "optimize.bootstrap": "BootstrapFewShot",
    "optimize.capo": "CAPO",
    "optimize.committee": "Committee",
    "optimize.compile": "Compiled acompile compile",
    "optimize.copro": "COPRO",
    "optimize.gepa": "GEPA",
    "optimize.gepa_adapter": "from_gepa gepa_adapter",
    "optimize.gepa_package": "GepaPackage",
    "optimize.explaining": "Explanation explain",
    "optimize.headroom": "aheadroom headroom",
    "optimize.infer_rules": "InferRules",
    "optimize.knn": "KNNFewShot",
    "optimize.labeled": "LabeledFewShot",
    "optimize.mipro": "MIPRO",
    "optimize.operators.protocol": "Operator",
    "optimize.operators.prune": "Prune",
    "optimize.operators.reflect": "ReflectEdit",
    "optimize.opro": "OPRO",
    "optimize.prefer": "Prefer",
    "optimize.param_search": "ParamSearch",
    "optimize.protocol": "Optimizer",
    "optimize.pruning": "Pruned aprune prune",
    "optimize.random_search": "RandomSearch",
    "optimize.reported": "report_cost",
    "optimize.simba": "SIMBA",
    "optimize.space_search": "SpaceSearch",
    "optimize.strategies": "StrategySearch",
    "optimize.structure_search": "StructureSearch",
    "optimize.study": "Study",
    "optimize.textgrad": "TextGrad",
    "runtime": "Budget Span Trace gather io sleep",
    "sandbox.bubblewrap": "Bubblewrap",
    "sandbox.escalating": "Escalating",
    "sandbox.local": "Local",
    "sandbox.monty": "Monty",
    "sandbox.protocol": "Sandbox",
    "sandbox.pyodide": "Pyodide",
    "sandbox.values": "Executed Limits",
    "runtime.watching": "status",
    "signatures.field": "Field input output",
    "signatures.record": "Prediction checks_of fields_of outputs_of",
    "signatures.signature": "Signature",
    "signatures.spelling": "signature",
    "tools.calling": "Toolbox",
    "tools.making": "tool",
    "tools.terminal": "ask_in_terminal",
    "tools.mcp.server": "MCP",
    "tracing.answering": "replaying",
    "tracing.cassettes": "write_cassette",
    "tracing.examples": "examples_from_traces",
    "tracing.feedback": "feedback",
    "tracing.history": "history",
    "tracing.replay": "Replay areplay replay",
    "tracing.imports.logs": "import_log",
    "tracing.otel.live": "OTel",
    "tracing.record": "TraceFilter",
    "tracing.store": "Store open_store",
    "tracing.switch": "configure trace",
    "types": "Audio Code Document File Image Tool",
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names.split()}
_PACKAGES = ("checks", "errors", "optimize", "testing")  # the third can be called
__all__ = sorted([*_WHERE, *_PACKAGES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # or a type checker would take every name for one that exists
    _begun = False

    def __getattr__(name):
        from importlib import import_module

        global _begun
        if not _begun:  # the first use, not the import: that loads nothing
            import os

            _begun = True
            if os.environ.get("OUTLAST_TRACE"):
                import_module("outlast.tracing.switch").from_environment()
        if name in _PACKAGES:
            return import_module(f"outlast.{name}")
        home = _WHERE.get(name)
        if home is None:
            from outlast.errors import did_you_mean

            if name[:1] != "_" and name in import_module("outlast.evals.statistics").__all__:
                raise AttributeError(f"outlast has no {name!r}; it is in outlast.evals.statistics", name=name)
            raise AttributeError(f"outlast has no {name!r}.{did_you_mean(name, __all__)}", name=name)
        value = getattr(import_module(f"outlast.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return list(__all__)
