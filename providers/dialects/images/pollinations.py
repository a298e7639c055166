"""
Pollinations' image service that asks for no key: a GET whose path is the prompt.

It is in maintenance, has been off before, and serves one request at a time for each
address. Facts: Pollinations' APIDOCS, and issues 5420, 6409, 6566, 8201 and 11603 of
its repository.
"""

import secrets
from urllib.parse import quote, urlencode

from providers.dialects.base import Call
from providers.dialects.openai.access import authorization
from providers.dialects.talk import Ask, Reply, Talk
from providers.errors import SUCCESSFUL, ProviderBusy
from providers.settings import ProviderSettings
from providers.tasks import Image, ImageRequest, Images

# It refuses URLs of more than about 4 KB: a long prompt loses its end.
MAX_URL = 4000
MAX_NEGATIVE = 1000
QUEUE_FULL = b"Queue full for IP"
# Seconds: it takes a request every 5 s, and an image takes some seconds, too.
QUEUE_WAIT = 10.0


def images(settings: ProviderSettings, request: ImageRequest, model: str) -> Talk:
    """Make images one after another, since it queues no more than one."""
    made = []
    for number in range(request.count):
        path = _path(settings, request, model, number)
        call = Call(path, headers=authorization(settings))
        reply = yield Ask(call=call, method="GET")
        made.append(Image(data=_image(reply)))
    return Images(images=tuple(made), model=model)


def _path(
    settings: ProviderSettings, request: ImageRequest, model: str, number: int
) -> str:
    width, height = request.pixels
    # Without a seed it always sends the same image for a prompt.
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed + number
    # Private: or the image is shown to everybody in a public feed.
    asked = {"model": model, "seed": seed, "private": "true"}
    if width:
        asked["width"] = width
    if height:
        asked["height"] = height
    query = urlencode(asked)
    if request.negative_prompt:
        query += f"&negative_prompt={_quoted(request.negative_prompt, MAX_NEGATIVE)}"
    room = MAX_URL - len(f"{settings.base_url}/prompt/?{query}")
    return f"prompt/{_quoted(request.prompt, room)}?{query}"


def _quoted(text: str, room: int) -> str:
    """Quote as many of the characters of *text* as there is room for, none in part."""
    quoted = ""
    for character in text:
        piece = quote(character, safe="")
        if len(quoted) + len(piece) > room:
            break
        quoted += piece
    return quoted


def _image(reply: Reply) -> bytes:
    # The queue's limit comes with a 402 and an offer to pay, which is not for us; any
    # other 402 means that the model is for whoever has a key. The text has our address.
    if QUEUE_FULL in reply.body and reply.status not in SUCCESSFUL:
        raise ProviderBusy(
            "it serves one request at a time, and has another of ours in its queue",
            status=reply.status,
            retry_after=QUEUE_WAIT,
        )
    return reply.expect("image/")
