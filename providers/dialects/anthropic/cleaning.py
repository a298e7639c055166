"""What Anthropic's API answers 400 to, taken out of a request: texts, thoughts, ids.

Conversations have what other vendors and other clients put there. Each function
returns what it was given where there is nothing to do, and else a copy.
"""

from collections.abc import Callable, Mapping, Sequence

from providers.chat import SEALED_HERE
from providers.dialects.call_ids import FORMATS, ConversationIds
from providers.json_types import JSON, JSONMapping, JSONObject
from providers.settings import ProviderSettings

from .pairs import with_pairs

# Of Anthropic's own host, which takes no thoughts but those that it has signed.
HOST = "//api.anthropic.com/"
Body = JSONMapping
Block = JSONMapping
THINKS = ("enabled", "adaptive")
# Fields that say nothing where there are no tools.
IDLE_CHOICES = ("auto", "none")


def is_own_host(settings: ProviderSettings) -> bool:
    """Say whether it is Anthropic itself, and no server that copies its API."""
    return HOST in settings.base_url + "/"


def cleaned(body: Body, notes: list[str], *, signed_only: bool) -> JSONObject:
    """
    Return the body of a message as the API takes it; *notes* get what was changed.

    *signed_only*: thoughts without a signature are refused, as Anthropic's own host
    does. A body with nothing left to answer stays for the API to refuse.
    """
    made = dict(body)
    turns: Sequence[Body] = body["messages"]
    if signed_only:
        turns = _noted(turns, signed(turns), "unsigned thinking left out", notes)
    turns = _noted(turns, without_seals(turns), "others' reasoning left out", notes)
    turns = _noted(turns, without_blanks(turns), "blank texts left out", notes)
    turns = _noted(turns, with_pairs(turns), "calls and results paired", notes)
    turns = _noted(turns, with_prefill_cut(turns), "end of the prefill cut", notes)
    turns = _noted(turns, with_fitting_ids(turns), "call ids rewritten", notes)
    if turns:
        made["messages"] = turns
    _clean_system(made, notes)
    _clean_stops(made, notes)
    _clean_thinking(made, notes)
    if made.get("tools") == []:
        _forget_tools(made)
    return made


def signed(turns: Sequence[Body]) -> Sequence[Body]:
    """Leave out thoughts without a signature: the reasoning of other upstreams."""
    return _filtered(turns, _may_be_thought)


def without_seals(turns: Sequence[Body]) -> Sequence[Body]:
    """Leave out what was sealed here, for vendors of other APIs."""
    return _filtered(turns, _is_no_seal)


def without_blanks(turns: Sequence[Body]) -> Sequence[Body]:
    """Leave out texts of white space alone, and turns that say nothing else."""
    turns = [turn for turn in turns if not _is_blank(turn.get("content"))]
    return _filtered([_with_clean_results(turn) for turn in turns], _says)


def with_prefill_cut(turns: Sequence[Body]) -> Sequence[Body]:
    """Cut the white space at the end of the text that the answer is to go on from."""
    if not turns or turns[-1].get("role") != "assistant":
        return turns
    content = turns[-1].get("content")
    if isinstance(content, str):
        return [*turns[:-1], {**turns[-1], "content": content.rstrip()}]
    if not content or content[-1].get("type") != "text":
        return turns
    last = {**content[-1], "text": content[-1]["text"].rstrip()}
    return [*turns[:-1], {**turns[-1], "content": [*content[:-1], last]}]


def with_fitting_ids(turns: Sequence[Body]) -> Sequence[Body]:
    """Give calls ids that the API takes, none twice, and their results the same."""
    ids = ConversationIds(FORMATS["word"])
    made = [_with_ids(turn, ids) for turn in turns]
    return made if ids.changed else turns


def _with_ids(turn: Body, ids: ConversationIds) -> Body:
    content = turn.get("content")
    if isinstance(content, list):
        turn = {**turn, "content": [_with_id(block, ids) for block in content]}
    if turn.get("role") == "user":
        ids.end_turn()
    return turn


def _with_id(block: Block, ids: ConversationIds) -> Block:
    match block:
        case {"type": "tool_use", "id": str(name)}:
            return {**block, "id": ids.call(name)}
        case {"type": "tool_result", "tool_use_id": str(name)}:
            return {**block, "tool_use_id": ids.result(name)}
    return block


def _with_clean_results(turn: Body) -> Body:
    content = turn.get("content")
    if not isinstance(content, list):
        return turn
    return {**turn, "content": [_with_clean_result(block) for block in content]}


def _with_clean_result(block: Block) -> Block:
    content = block.get("content")
    if block.get("type") != "tool_result" or _says_all(content):
        return block
    left = [] if isinstance(content, str) else [p for p in content or () if _says(p)]
    return {**block, "content": left}


def _says_all(content: JSON) -> bool:
    if isinstance(content, list):
        return all(_says(part) for part in content)
    return content is None or not _is_blank(content)


def _says(block: Block) -> bool:
    text = block.get("text")
    return block.get("type") != "text" or not _is_blank(text)


def _may_be_thought(block: Block) -> bool:
    return block.get("type") != "thinking" or bool(block.get("signature"))


def _is_no_seal(block: Block) -> bool:
    data = block.get("data")
    sealed = isinstance(data, str) and data.startswith(SEALED_HERE)
    return block.get("type") != "redacted_thinking" or not sealed


def _is_blank(value: JSON) -> bool:
    return isinstance(value, str) and not value.strip()


def _filtered(turns: Sequence[Body], keeps: Callable[[Block], bool]) -> Sequence[Body]:
    """Return turns less the blocks that are not kept, and less those left empty."""
    made = []
    for turn in turns:
        content = turn.get("content")
        if not isinstance(content, list):
            made.append(turn)
            continue
        left = [block for block in content if keeps(block)]
        if len(left) == len(content):
            made.append(turn)
        elif left:
            made.append({**turn, "content": left})
    return made


def _clean_system(made: JSONObject, notes: list[str]) -> None:
    system = made.get("system")
    left = system
    if isinstance(system, list):
        left = [block for block in system if _says(block)]
    if left == [] or _is_blank(left):
        del made["system"]
    else:
        made |= {} if system is None else {"system": left}
    if left != system or _is_blank(left):
        _note(notes, "blank texts left out")


def _clean_stops(made: JSONObject, notes: list[str]) -> None:
    stops = made.get("stop_sequences")
    if not isinstance(stops, list):
        return
    left = [stop for stop in stops if not _is_blank(stop)]
    if left == stops and left:
        return
    if left:
        made["stop_sequences"] = left
    else:
        del made["stop_sequences"]
    if left != stops:
        _note(notes, "blank stop sequences left out")


def _clean_thinking(made: JSONObject, notes: list[str]) -> None:
    """Make room for an answer after thoughts, which go with one temperature only."""
    thinking = made.get("thinking")
    if not isinstance(thinking, Mapping):
        return
    budget, bound = thinking.get("budget_tokens"), made.get("max_tokens")
    if isinstance(budget, int) and isinstance(bound, int) and bound <= budget:
        made["max_tokens"] = budget + bound
        _note(notes, "max_tokens raised above budget_tokens")
    thinks = thinking.get("type") in THINKS
    if thinks and made.get("temperature") not in (None, 1):
        del made["temperature"]
        _note(notes, "temperature left out, since it thinks")


def _forget_tools(made: JSONObject) -> None:
    del made["tools"]
    choice = made.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") in IDLE_CHOICES:
        del made["tool_choice"]


def _noted(
    before: Sequence[Body], after: Sequence[Body], note: str, notes: list[str]
) -> Sequence[Body]:
    if after is before or after == before:
        return before
    _note(notes, note)
    return after


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)
