"""Calls and results of a conversation, in the pairs that Anthropic's API wants."""

from collections.abc import Iterator, Sequence

from providers.json_types import JSONMapping

Turn = JSONMapping
Block = JSONMapping


def with_pairs(turns: Sequence[Turn]) -> Sequence[Turn]:
    """
    Return *turns* with a result for each call, in the user's turn after it, before all
    else there; a result without its call becomes what is in it.

    Turns of one role that follow each other become one where they share such blocks.
    """
    made: list[Turn] = []
    waiting: list[str] = []
    for turn in _joined(turns):
        if turn.get("role") == "user":
            answering = _answering(turn, waiting)
            if answering.get("content") or not turn.get("content"):
                made.append(answering)
            waiting = []
        else:
            made.append(turn)
            waiting += _ids(turn, "tool_use", "id")
    if waiting:
        made.append({"role": "user", "content": [_empty(name) for name in waiting]})
    same = len(made) == len(turns)
    if same and all(new is old for new, old in zip(made, turns, strict=True)):
        return turns
    return made


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    joined: list[Turn] = []
    for turn in turns:
        before = joined[-1] if joined else {}
        alike = before.get("role") == turn.get("role")
        if alike and (_has(before, "tool_use") or _has(turn, "tool_result")):
            content = [*_blocks(before), *_blocks(turn)]
            joined[-1] = {**before, "content": content}
        else:
            joined.append(turn)
    return joined


def _answering(turn: Turn, waiting: Sequence[str]) -> Turn:
    """Return a user's turn with a result first for each call that is *waiting*."""
    blocks, left = _blocks(turn), list(waiting)
    results: list[Block] = []
    others: list[Block] = []
    for block in blocks:
        if block.get("type") != "tool_result":
            others.append(block)
        elif (name := block.get("tool_use_id")) in left:
            left.remove(name)
            results.append(block)
        else:
            others += _inside(block)
    content = [*results, *map(_empty, left), *others]
    return turn if content == blocks else {**turn, "content": content}


def _blocks(turn: Turn) -> list[Block]:
    content = turn.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _has(turn: Turn, kind: str) -> bool:
    return any(block.get("type") == kind for block in _blocks(turn))


def _inside(result: Block) -> Iterator[Block]:
    content = result.get("content")
    if isinstance(content, str) and content.strip():
        yield {"type": "text", "text": content}
    elif isinstance(content, list):
        yield from content


def _empty(name: str) -> Block:
    return {"type": "tool_result", "tool_use_id": name, "content": []}


def _ids(turn: Turn, kind: str, name: str) -> list[str]:
    return [str(b.get(name)) for b in _blocks(turn) if b.get("type") == kind]
