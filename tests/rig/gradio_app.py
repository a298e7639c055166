"""
A Gradio app as Spaces run them, for the tests to call: `python gradio_app.py PORT`.

Its functions do what the prompt says. `GET /watch` tells, a JSON object a line, of each
request's begin and end, of each message sent to who waits in the queue, and of each
run; `POST /release` lets one job go on that is held.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr
from PIL import Image

QUOTA = (
    "You have exceeded your GPU quota (60s requested vs. 0s left). Try again in 0:10:00"
)
held = threading.Semaphore(0)


class Watch:
    """Tells whoever watches what happens; the rest it leaves to the app."""

    watchers: tuple[asyncio.Queue[dict[str, Any]], ...] = ()
    loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        Watch.loop = asyncio.get_running_loop()
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] == "/watch":
            await _watch(receive, send)
        elif scope["path"] == "/release":
            held.release()
            await _answer(send, b"{}", more=False)
        else:
            await self._watched(scope, receive, send)

    async def _watched(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        request = {"path": scope["path"], "key": headers.get("authorization")}

        async def sent(message: Any) -> None:
            await send(message)
            if scope["path"].endswith("/queue/data"):
                for line in message.get("body", b"").splitlines():
                    if line:
                        _tell({"sent": json.loads(line.removeprefix(b"data: "))})

        _tell({"begin": request})
        try:
            await self.app(scope, receive, sent)
        finally:
            _tell({"end": request})


def _tell(event: dict[str, Any]) -> None:
    for watcher in Watch.watchers:
        watcher.put_nowait(event)


async def _answer(send: Any, body: bytes, *, more: bool) -> None:
    head = {"type": "http.response.start", "status": 200, "headers": []}
    await send(head)
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def _watch(receive: Any, send: Any) -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    Watch.watchers += (events,)
    telling = asyncio.create_task(_tell_all(events, send))
    while (await receive())["type"] != "http.disconnect":
        pass
    telling.cancel()
    Watch.watchers = tuple(each for each in Watch.watchers if each is not events)


async def _tell_all(events: asyncio.Queue[dict[str, Any]], send: Any) -> None:
    await _answer(send, b"{}\n", more=True)
    while True:
        line = json.dumps(await events.get()).encode() + b"\n"
        await send({"type": "http.response.body", "body": line, "more_body": True})


def _ran(function: str, **arguments: Any) -> None:
    assert Watch.loop is not None
    told = {"ran": {"function": function, **arguments}}
    Watch.loop.call_soon_threadsafe(_tell, told)


def _painted(width: int, height: int, seed: int) -> Image.Image:
    return Image.new("RGB", (int(width), int(height)), (int(seed) % 256, 80, 160))


def infer(
    prompt: str,
    seed: int,
    randomize_seed: bool,
    width: int,
    height: int,
    num_inference_steps: int,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - Gradio's own way to ask for it
) -> tuple[Image.Image, int]:
    _ran(
        "infer",
        prompt=prompt,
        seed=seed,
        randomize_seed=randomize_seed,
        width=width,
        height=height,
        num_inference_steps=num_inference_steps,
    )
    if prompt == "quota":
        raise gr.Error(QUOTA, title="ZeroGPU quota exceeded")
    if prompt == "broken":
        raise ValueError("the tensors do not fit")
    if prompt.startswith("hold"):
        progress((1, 2), desc="step", unit="steps")
        gr.Info("patience")
        held.acquire(timeout=20)
    return _painted(width, height, seed), seed


def grow(prompt: str, width: int = 64) -> Iterator[Image.Image]:
    """Yield images, each larger than the one before."""
    _ran("grow", prompt=prompt)
    for part in (4, 2, 1):
        yield _painted(width // part, width // part, part)


def gallery(
    prompt: str, memory: Any, negative_prompt: str
) -> tuple[list[Image.Image], Any]:
    """Return images in a gallery; between the inputs lies what the app remembers."""
    _ran("gallery", prompt=prompt, memory=memory, negative_prompt=negative_prompt)
    return [_painted(24, 16, 0), _painted(48, 32, 0)], memory


def describe(prompt: str) -> str:
    """Return words, no image."""
    return f"{prompt}, but in words"


def app() -> gr.Blocks:
    with gr.Blocks() as blocks:
        prompt = gr.Textbox()
        negative = gr.Textbox()
        side = {"minimum": 32, "maximum": 2048, "step": 32, "value": 1024}
        width, height = gr.Slider(**side), gr.Slider(**side)
        inputs = [
            prompt,
            gr.Slider(minimum=0, maximum=2**31 - 1, step=1, value=0),
            gr.Checkbox(value=True),
            width,
            height,
            gr.Slider(minimum=1, maximum=50, step=1, value=4),
        ]
        image, number = gr.Image(format="webp"), gr.Number()
        memory, words, images = gr.State([7]), gr.Textbox(), gr.Gallery(format="png")
        button = gr.Button()
        button.click(infer, inputs, [image, number], api_name="infer")
        button.click(grow, [prompt, width], image, api_name="grow")
        button.click(
            gallery, [prompt, memory, negative], [images, memory], api_name="gallery"
        )
        button.click(describe, prompt, words, api_name="describe")
    return blocks


if __name__ == "__main__":
    started = app().queue(default_concurrency_limit=1, max_size=3)
    started.launch(
        server_name="127.0.0.1",
        server_port=int(sys.argv[1]),
        prevent_thread_lock=True,
        show_error=True,
        quiet=True,
        app_kwargs={"middleware": [(Watch, (), {})]},
    )
    print("ready", flush=True)  # noqa: T201 - for whoever has started it
    started.block_thread()
