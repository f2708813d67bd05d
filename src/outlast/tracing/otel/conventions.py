"""The names of both conventions, in one place and with their versions: they change, and then only this file does.

Both are unstable. OpenTelemetry's is at the stage "development" and has no release yet; the version is the schema that
its repository named when these names were read (November 2026). OpenInference's is that of its package for Python.
Tests compare the first with the package that OpenTelemetry's instrumentations write with, a beta (`make test-otel`),
and the second with its own.
"""

from __future__ import annotations

from typing import Final

GEN_AI_VERSION: Final = "1.42.0-dev"
GEN_AI_SCHEMA: Final = f"https://opentelemetry.io/schemas/gen-ai-dev/{GEN_AI_VERSION}"
OPENINFERENCE_VERSION: Final = "0.1.42"


class GenAI:
    """Attributes of `gen_ai.*`, the values of those that are enumerations, and the event of an evaluation."""

    OPERATION = "gen_ai.operation.name"
    CHAT = "chat"
    EXECUTE_TOOL = "execute_tool"
    INVOKE_AGENT = "invoke_agent"
    INVOKE_WORKFLOW = "invoke_workflow"

    PROVIDER = "gen_ai.provider.name"
    CONVERSATION = "gen_ai.conversation.id"
    WORKFLOW = "gen_ai.workflow.name"
    AGENT = "gen_ai.agent.name"
    AGENT_VERSION = "gen_ai.agent.version"
    OUTPUT_TYPE = "gen_ai.output.type"
    PROMPT = "gen_ai.prompt.name"
    PROMPT_VERSION = "gen_ai.prompt.version"

    REQUEST_MODEL = "gen_ai.request.model"
    REQUEST_SEED = "gen_ai.request.seed"
    REQUEST_STREAM = "gen_ai.request.stream"
    REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
    REQUEST_TEMPERATURE = "gen_ai.request.temperature"
    REQUEST_TOP_P = "gen_ai.request.top_p"
    REQUEST_STOP = "gen_ai.request.stop_sequences"
    REQUEST_REASONING = "gen_ai.request.reasoning.level"

    RESPONSE_ID = "gen_ai.response.id"
    RESPONSE_MODEL = "gen_ai.response.model"
    RESPONSE_FINISH = "gen_ai.response.finish_reasons"
    RESPONSE_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
    RESPONSE_FINGERPRINT = "openai.response.system_fingerprint"  # of OpenAI's models only

    INPUT_TOKENS = "gen_ai.usage.input_tokens"
    OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
    CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
    CACHE_WRITE_TOKENS = "gen_ai.usage.cache_write.input_tokens"
    REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"

    SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
    INPUT_MESSAGES = "gen_ai.input.messages"
    OUTPUT_MESSAGES = "gen_ai.output.messages"
    TOOL_DEFINITIONS = "gen_ai.tool.definitions"

    TOOL = "gen_ai.tool.name"
    TOOL_TYPE = "gen_ai.tool.type"
    TOOL_CALL = "gen_ai.tool.call.id"
    TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
    TOOL_RESULT = "gen_ai.tool.call.result"

    EVALUATION = "gen_ai.evaluation.result"
    EVALUATION_NAME = "gen_ai.evaluation.name"
    EVALUATION_SCORE = "gen_ai.evaluation.score.value"
    EVALUATION_LABEL = "gen_ai.evaluation.score.label"
    EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"


class OpenInference:
    """Attributes of OpenInference. Lists are flattened: `llm.input_messages.0.message.role`."""

    SPAN_KIND = "openinference.span.kind"
    LLM, CHAIN, AGENT, TOOL = "LLM", "CHAIN", "AGENT", "TOOL"
    PROJECT = "openinference.project.name"

    INPUT = "input.value"
    INPUT_MIME = "input.mime_type"
    OUTPUT = "output.value"
    OUTPUT_MIME = "output.mime_type"

    PROVIDER = "llm.provider"
    SYSTEM = "llm.system"
    MODEL = "llm.model_name"
    REQUEST_MODEL = "llm.request.model_name"
    RESPONSE_MODEL = "llm.response.model_name"
    PARAMETERS = "llm.invocation_parameters"
    FINISH = "llm.finish_reason"
    PROMPT_TOKENS = "llm.token_count.prompt"
    CACHE_READ_TOKENS = "llm.token_count.prompt_details.cache_read"
    CACHE_WRITE_TOKENS = "llm.token_count.prompt_details.cache_write"
    COMPLETION_TOKENS = "llm.token_count.completion"
    REASONING_TOKENS = "llm.token_count.completion_details.reasoning"
    TOTAL_TOKENS = "llm.token_count.total"
    COST = "llm.cost.total"

    INPUT_MESSAGES = "llm.input_messages"
    OUTPUT_MESSAGES = "llm.output_messages"
    ROLE = "message.role"
    CONTENT = "message.content"
    CONTENTS = "message.contents"
    CONTENT_TYPE = "message_content.type"
    CONTENT_TEXT = "message_content.text"
    CONTENT_IMAGE = "message_content.image"
    IMAGE_URL = "image.url"
    TOOL_CALLS = "message.tool_calls"
    TOOL_CALL_ID = "message.tool_call_id"
    CALL_ID = "tool_call.id"
    CALL_NAME = "tool_call.function.name"
    CALL_ARGUMENTS = "tool_call.function.arguments"
    TOOLS = "llm.tools"
    TOOL_SCHEMA = "tool.json_schema"

    TOOL_NAME = "tool.name"
    TOOL_PARAMETERS = "tool.parameters"
    AGENT_NAME = "agent.name"
    SESSION = "session.id"
    METADATA = "metadata"
    TAGS = "tag.tags"

    ANNOTATIONS = "annotations"
    ANNOTATION_NAME = "annotation.name"
    ANNOTATION_LABEL = "annotation.label"
    ANNOTATION_SCORE = "annotation.score"
    ANNOTATION_EXPLANATION = "annotation.explanation"
    ANNOTATION_KIND = "annotation.annotator_kind"
    ANNOTATION_IDENTIFIER = "annotation.identifier"


class Own:
    """What neither convention has a name for."""

    TRACE = "outlast.trace.id"
    RUN = "outlast.run.id"
    SPAN_KIND = "outlast.span.kind"
    PATH = "outlast.path"
    SIGNATURE = "outlast.signature"
    PROGRAM = "outlast.program.version"
    ADAPTER = "outlast.adapter"
    ATTEMPT = "outlast.attempt"
    JOINED = "outlast.joined"
    CACHE = "outlast.cache"
    FINGERPRINT = "outlast.fingerprint"
    COST = "outlast.cost"
    COST_SOURCE = "outlast.cost_source"
    QUEUED = "outlast.queued_seconds"
    EXAMPLE = "outlast.example"
    TAGS = "outlast.tags"


ERROR_TYPE: Final = "error.type"  # these three are OpenTelemetry's own, and stable
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
