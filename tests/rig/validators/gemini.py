"""Google's Gemini API: turns of the user and the model, calls and their answers."""

from typing import Any

from .checking import Validator, known, need, validator

BODY = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig")
PART = (
    *("text", "thought", "inlineData"),
    *("functionCall", "functionResponse", "thoughtSignature"),
)


def checked(*, signed: bool) -> Validator:
    def walk(body: Any) -> None:
        known(body, BODY, "the request")
        need(body["contents"], "contents is empty")
        if "systemInstruction" in body:
            _parts(body["systemInstruction"])
        for content in body["contents"]:
            known(content, ("role", "parts"), "a content")
            need(content["role"] in ("user", "model"), f"the role {content['role']}")
            _parts(content)
            if signed:
                _signature(content)
        _pairs(body["contents"])

    return validator(walk)


def _parts(content: Any) -> None:
    need(content["parts"], "a content without parts")
    for part in content["parts"]:
        known(part, PART, "a part")
        need(part.get("text") != "", "an empty text part")
        if "functionCall" in part:
            need(isinstance(part["functionCall"]["args"], dict), "args is no object")
        if "functionResponse" in part:
            response = part["functionResponse"]
            need(response["name"], "a functionResponse without a name")
            need(isinstance(response["response"], dict), "response is no object")


def _signature(content: Any) -> None:
    """Of the calls of a turn, the first is signed."""
    calls = [part for part in content["parts"] if "functionCall" in part]
    need(not calls or calls[0].get("thoughtSignature"), "missing a thought_signature")


def _pairs(contents: Any) -> None:
    """As many answers follow as there were calls, and no call comes out of turn."""
    waiting: list[str] = []
    before = ""
    for content in contents:
        named = [
            part["functionResponse"]["name"]
            for part in content["parts"]
            if "functionResponse" in part
        ]
        need(sorted(named) == sorted(waiting), f"answers {named} to calls {waiting}")
        waiting = [
            part["functionCall"]["name"]
            for part in content["parts"]
            if "functionCall" in part
        ]
        need(not waiting or before == "user", "a call that follows no user's turn")
        before = content["role"]
    need(not waiting, "calls without answers")


gemini = checked(signed=False)
gemini_signed = checked(signed=True)
