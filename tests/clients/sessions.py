"""Three turns of a coding agent, of which each goes on from the one before."""

import asyncio
import base64
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attrs import evolve, field, frozen

from tests.rig.responses_upstream import CustomCall

from .catalogue import CLIENTS, NOTE, Client
from .driving import Job, OneTurn, Target
from .processes import last_words, run
from .rig import Call, Part, Received, Step, Text, answers
from .scripted import Racer, Turn, script
from .workplace import commands, environ

# A PNG of a few pixels, which clients pass on as it is.
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu"
    "7N9hAAAAAElFTkSuQmCC"
)
# Between what Codex is told to compact at and what makes Claude Code stop at once.
FULL, SMALL = 90_000, 3
LONG = "Bear in mind that the river is long. " * 500
WRITE = "echo Eight rivers. > note.txt; expr 4711 + 1"
PATCH = (
    "*** Begin Patch\n*** Update File: note.txt\n@@\n-{}\n+Eight rivers.\n*** End Patch"
)


@frozen
class Stage:
    """What the person says, and the model's turn upon it."""

    prompt: str
    turn: Turn


@frozen
class Model:
    """
    Plays the stage that the last prompt in a request is of. A history that has the
    results of both first turns in it fills the context, so that the client compacts it.
    """

    stages: Sequence[Stage]

    def script(self, kind: str, request: Received) -> list[Step]:
        tokens = FULL if self._is_long(request) else SMALL
        return script(kind, self._parts(request), request, tokens)

    def stage(self, request: Received) -> int:
        """Return the number of the stage that *request* is of, or -1."""
        numbers = range(len(self.stages))
        said = (i for i in numbers if self.stages[i].prompt.encode() in request.body)
        return max(said, default=-1)

    def _parts(self, request: Received) -> list[Part]:
        found = self.stage(request)
        if found < 0:
            return [Text("Fine.")]
        if found == 2 and self._is_long(request):
            return [Text("The history was not compacted.")]
        return self.stages[found].turn.parts(request)

    def _is_long(self, request: Received) -> bool:
        first = (stage.turn.result.encode() for stage in self.stages[:2])
        return all(result in request.body for result in first)


@frozen
class Faltering:
    """The same model at a provider that is down while the second stage is played."""

    model: Model

    def script(self, kind: str, request: Received) -> list[Step]:
        if self.model.stage(request) == 1:
            return answers(500, {"error": {"message": "out of order"}})
        return self.model.script(kind, request)


@frozen
class Breaking:
    """
    The same at providers of which the first, in the second stage, resets its connection
    after a few words, once; until then the others have nothing to say to it.
    """

    model: Model
    first: bool
    broken: asyncio.Event

    def script(self, kind: str, request: Received) -> Iterable[Step]:
        if self.broken.is_set() or self.model.stage(request) != 1:
            return self.model.script(kind, request)
        return self._breaks_off(kind, request) if self.first else [...]

    def _breaks_off(self, kind: str, request: Received) -> Iterator[Step]:
        for step in script(kind, [Text("I will"), Text(" look.")], request):
            yield step
            if isinstance(step, bytes) and b"I will" in step:
                break
        yield 0.2  # what a reset finds unread is lost
        self.broken.set()
        yield None


@frozen(kw_only=True)
class Agent:
    """
    How a coding agent is told to begin and to go on, which tools of its own show a
    picture and write a file, and what makes it compact a history of `FULL` tokens.
    """

    begin: str
    go_on: str
    shows: tuple[str, str]
    writes: Call
    written: str = "4712"
    config: str = ""
    environ: dict[str, str] = field(factory=dict)


CODEX = Agent(
    begin="codex exec {}",
    go_on="codex exec resume --last {}",
    shows=("view_image", "path"),
    writes=Call("call_3", "exec_command", {"cmd": WRITE}),
    config="model_auto_compact_token_limit = 80000\n",
)
AGENTS = {
    "Codex": CODEX,
    "Codex, gpt-5.5": Agent(
        begin=CODEX.begin,
        go_on=CODEX.go_on,
        shows=CODEX.shows,
        writes=CustomCall(
            "call_3", "apply_patch", {"input": PATCH.format(NOTE.strip())}
        ),
        written="Success. Updated",
        config=CODEX.config,
    ),
    "Claude Code": Agent(
        begin="claude -p {} --allowedTools Bash,Read",
        go_on="claude -p {} --continue --allowedTools Bash,Read",
        shows=("Read", "file_path"),
        writes=Call("call_3", "Bash", {"command": WRITE, "description": "writes"}),
        environ={"CLAUDE_CODE_AUTO_COMPACT_WINDOW": "100000"},
    ),
}


@frozen
class Session:
    """
    Three turns: a file is read, a picture looked at, and, after the client has made a
    summary of that, the file is written. In the second one provider is down, and
    another breaks off after its first token.
    """

    client: Client

    @property
    def name(self) -> str:
        return f"{self.client.name}: session"

    def racers(self, target: Target) -> list[Racer]:
        model = Model(self._stages())
        good = [Racer(f"Speaks-{kind}", kind, model) for kind in target.kinds]
        if target.itself:
            return good
        first, broken = good[0], asyncio.Event()
        good = [evolve(r, plays=Breaking(model, r is first, broken)) for r in good]
        return [*good, Racer("Falters", target.kinds[-1], Faltering(model))]

    async def play(self, url: str, folder: Path) -> str | None:
        work = folder / "work"
        await asyncio.to_thread((work / "picture.png").write_bytes, PICTURE)
        for number, stage in enumerate(self._stages()):
            command = ("sh", "-e", "-c", self._commands(url, number))
            status, output = await run(command, work, environ(self.client, folder))
            if status != 0 or stage.turn.answer not in output:
                return f"turn {number + 1}: {last_words(output)}"
        note = await asyncio.to_thread((work / "note.txt").read_text)
        return None if note == "Eight rivers.\n" else f"the note says {note!r}"

    def _commands(self, url: str, number: int) -> str:
        """Return the page's lines, the last of which is one of the session's."""
        agent, stage = AGENTS[self.client.name], self._stages()[number]
        said = f"{stage.prompt}. {LONG}" if number == 0 else stage.prompt
        *lines, _ = commands(self.client, url).splitlines()
        form = agent.go_on if number else agent.begin
        return "\n".join([*lines, form.format(shlex.quote(said))])

    def _stages(self) -> list[Stage]:
        agent = AGENTS[self.client.name]
        tool, argument = agent.shows
        looks = Call("call_2", tool, {argument: "picture.png"})
        picture = base64.b64encode(PICTURE).decode()
        return [
            Stage("Say what is in note.txt", self.client.turn),
            Stage(
                "Look at picture.png",
                Turn(answer="A red square.", call=looks, result=picture),
            ),
            Stage(
                "Make eight rivers of it",
                Turn(answer="So it is.", call=agent.writes, result=agent.written),
            ),
        ]


def every_job() -> list[Job]:
    """Return a turn of every client, and a session of every coding agent."""
    return [*map(OneTurn, CLIENTS), *sessions(CLIENTS)]


def sessions(clients: Iterable[Client]) -> list[Session]:
    """Return a session of each coding agent among *clients*, told when to compact."""
    agents = ((client, AGENTS.get(client.name)) for client in clients)
    return [Session(_told(client, agent)) for client, agent in agents if agent]


def _told(client: Client, agent: Agent) -> Client:
    before = dict(client.before)
    if agent.config:
        before["toml"] = before["toml"] + agent.config
    return evolve(client, before=before, environ={**client.environ, **agent.environ})
