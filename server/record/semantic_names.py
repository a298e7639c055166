"""Names in spans: of OpenTelemetry's semantic conventions 1.41.0, and our own."""

METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
ERROR = "error.type"
ADDRESS = "server.address"
PORT = "server.port"
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
STREAM = "gen_ai.request.stream"
MAX_TOKENS = "gen_ai.request.max_tokens"
TEMPERATURE = "gen_ai.request.temperature"
TOP_P = "gen_ai.request.top_p"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT = "gen_ai.usage.input_tokens"
OUTPUT = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"

# What no convention names.
REQUEST_ID = "interference.request.id"
RACER = "interference.provider"
OUTCOME = "interference.outcome"
PHASE = "interference.error.phase"
WASTED = "interference.tokens_wasted_at_least"
RACE_OUTCOME = "interference.race.outcome"
STRATEGY = "interference.race.strategy"
WINNER = "interference.race.winner"
HEDGE_REFUSED = "interference.race.hedge_refused"

# Operations by our tasks; the last three are no convention's.
OPERATIONS = {
    "chat": "chat",
    "embeddings": "embeddings",
    "images": "generate_image",
    "speech": "speech",
    "transcription": "transcription",
}
# Our built-in ids that the conventions have other names for.
PROVIDERS = {
    "AzureOpenAI": "azure.ai.openai",
    "Gemini": "gcp.gemini",
    "VertexAI": "gcp.vertex_ai",
    "BedrockMantle": "aws.bedrock",
    "BedrockRuntime": "aws.bedrock",
    "Mistral": "mistral_ai",
    "xAI": "x_ai",
    "Moonshot": "moonshot_ai",
    "llama.cpp": "llama_cpp",
}


def provider_name(provider: str) -> str:
    return PROVIDERS.get(provider, provider.lower())
