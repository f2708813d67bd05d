"""What goes to a model and what comes back: frozen values that every LM, adapter and store speaks."""

from outlast.messages.canonical import canonical
from outlast.messages.decision import Decision, Evidence, Question
from outlast.messages.history import History, Turn
from outlast.messages.parts import (
    Message,
    Part,
    Role,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    assistant,
    message_from_json,
    part_from_json,
    system,
    tool_result,
    user,
)
from outlast.messages.rate import RateState, RateStates
from outlast.messages.request import NO_SETTINGS, OutputSchema, Request, Settings
from outlast.messages.response import (
    NO_USAGE,
    CacheState,
    Citation,
    FinishReason,
    Response,
    TokenLogprob,
    Usage,
)
from outlast.messages.spending import Spending
from outlast.messages.stream import (
    Finished,
    StreamEvent,
    TextDelta,
    ThoughtDelta,
    ToolDelta,
    events_of,
)

__all__ = [
    "NO_SETTINGS",
    "NO_USAGE",
    "CacheState",
    "Citation",
    "Decision",
    "Evidence",
    "FinishReason",
    "Finished",
    "History",
    "Message",
    "OutputSchema",
    "Part",
    "Question",
    "RateState",
    "RateStates",
    "Request",
    "Response",
    "Role",
    "Settings",
    "Spending",
    "StreamEvent",
    "TextDelta",
    "TextPart",
    "Thought",
    "ThoughtDelta",
    "TokenLogprob",
    "ToolCall",
    "ToolDelta",
    "ToolResult",
    "Turn",
    "Usage",
    "assistant",
    "canonical",
    "events_of",
    "message_from_json",
    "part_from_json",
    "system",
    "tool_result",
    "user",
]
