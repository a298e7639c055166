"""`truncation: auto`: a conversation that is too long loses its beginning."""

from attrs import evolve

from providers import ChatRequest

INSTRUCTIONS = ("system", "developer")


def shortened(chat: ChatRequest) -> ChatRequest | None:
    """
    Return *chat* without the older half of its turns; None if there is only one.

    A turn begins with what the user says, so that no tool's output is left without its
    call. Instructions that stand before all turns stay.
    """
    roles = [message.role for message in chat.messages]
    begins = [at for at, role in enumerate(roles) if role == "user"]
    if len(begins) <= 1:
        return None
    first = next(at for at, role in enumerate(roles) if role not in INSTRUCTIONS)
    rest = begins[len(begins) // 2]
    messages = chat.body["messages"]
    return evolve(
        chat,
        messages=(*chat.messages[:first], *chat.messages[rest:]),
        body={**chat.body, "messages": [*messages[:first], *messages[rest:]]},
    )
