"""The clients that are driven, and what the model does in a turn of each."""

from collections.abc import Mapping
from typing import TypedDict

from attrs import field, frozen

from .rig import Call
from .scripted import Turn

NOTE = "Seven rivers, 4711.\n"
ANSWER = "It speaks of seven rivers."


def reads(tool: str, **arguments: str) -> Turn:
    """Return a turn in which *tool* reads the note, and the model tells of it."""
    call = Call("call_1", tool, arguments)
    return Turn(answer=ANSWER, call=call, result=NOTE.strip())


@frozen(kw_only=True)
class Client:
    """
    A client, by its section of `docs/clients.md`.

    *commands* is where its installation has them. *files* say where the snippets of a
    language are put, below the test's folder; *before* is what is put before them for
    the test's sake, and *swaps* are what a variant changes in them. *script* is a file
    of `scripts/` with its arguments, in place of the page's Python. *environ* is what
    nobody types, but a machine without a network wants.

    *shows* is what its output has when all went well, and *note* what then stands in
    the note. *refusals* are words of the errors that are right, by upstream. *speaks*
    is the dialect in which an upstream can answer it without a server.
    """

    section: str
    commands: str
    turn: Turn
    variant: str = ""
    files: Mapping[str, str] = field(factory=dict)
    before: Mapping[str, str] = field(factory=dict)
    swaps: Mapping[str, str] = field(factory=dict)
    script: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(factory=dict)
    shows: str = ANSWER
    note: str = NOTE
    refusals: Mapping[str, str] = field(factory=dict)
    speaks: str | None = None

    @property
    def name(self) -> str:
        return f"{self.section}, {self.variant}" if self.variant else self.section


class _Codex(TypedDict):
    section: str
    commands: str
    turn: Turn
    files: Mapping[str, str]
    before: Mapping[str, str]
    speaks: str


CODEX = _Codex(
    section="Codex",
    commands="node/node_modules/.bin",
    turn=reads("exec_command", cmd="cat note.txt"),
    files={"toml": "home/.codex/config.toml"},
    # Containers seldom have what Codex's sandbox is made of.
    before={"toml": 'sandbox_mode = "danger-full-access"\nanalytics.enabled = false\n'},
    speaks="responses",
)
PACKAGES = "packages/bin"
LITELLM_ENVIRON = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
READ_FILE = reads("read_file", name="note.txt")
CLIENTS = (
    Client(**CODEX),
    # A model that it knows, to which it declares other tools.
    Client(**CODEX, variant="gpt-5.5", swaps={'"gpt-4o-mini"': '"gpt-5.5"'}),
    Client(
        section="Claude Code",
        commands="node/node_modules/.bin",
        turn=reads("Bash", command="cat note.txt", description="reads a file"),
        environ={
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_TELEMETRY": "1",
        },
        speaks="anthropic",
    ),
    Client(
        section="opencode",
        commands="node/node_modules/.bin",
        turn=reads("bash", command="cat note.txt", description="reads a file"),
        files={"json": "work/opencode.json"},
        environ={"OPENCODE_DISABLE_AUTOUPDATE": "1"},
    ),
    Client(
        section="aider",
        commands="aider/bin",
        turn=Turn(answer="note.txt\n```\nEight rivers.\n```\n"),
        environ={
            "AIDER_ANALYTICS": "false",
            "AIDER_CHECK_UPDATE": "false",
            "AIDER_SHOW_RELEASE_NOTES": "false",
            **LITELLM_ENVIRON,
        },
        shows="Applied edit to note.txt",
        note="Eight rivers.\n",
    ),
    Client(section="OpenAI Agents SDK", commands=PACKAGES, turn=READ_FILE),
    Client(
        section="OpenAI Agents SDK",
        variant="by chat",
        commands=PACKAGES,
        turn=READ_FILE,
        before={
            "python": "from agents import set_default_openai_api\n"
            'set_default_openai_api("chat_completions")\n'
        },
    ),
    Client(
        section="instructor",
        commands=PACKAGES,
        turn=Turn(
            answer="", call=Call("call_1", "City", {"name": "Rome", "river": "Tiber"})
        ),
        shows="name='Rome' river='Tiber'",
        # It wants the tool to be called, which no field of Ollama's can say.
        refusals={"ollama": "Ollama can't be made to call a tool"},
    ),
    Client(
        section="LiteLLM",
        commands=PACKAGES,
        turn=Turn(answer=ANSWER),
        environ=LITELLM_ENVIRON,
    ),
    Client(
        section="LiteLLM",
        variant="tools by chat",
        commands=PACKAGES,
        turn=READ_FILE,
        script=("litellm_tools.py", "openai/gpt-4o-mini", "http://127.0.0.1:1337/v1"),
        environ=LITELLM_ENVIRON,
    ),
    Client(
        section="LiteLLM",
        variant="tools by Messages",
        commands=PACKAGES,
        turn=READ_FILE,
        script=("litellm_tools.py", "anthropic/gpt-4o-mini", "http://127.0.0.1:1337"),
        environ=LITELLM_ENVIRON,
    ),
)
