// Uses the official openai package at each base URL, and prints what came of it: a line of JSON each.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [what, ...urls] = process.argv.slice(2);
const messages = [{ role: "user", content: "Is there rain in Paris?" }];
const City = z.object({ name: z.enum(["Paris", "Rome"]), river: z.enum(["Seine", "Tiber"]) });
const weather = {
  type: "function",
  function: {
    name: "weather",
    description: "Tell the weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" } } },
    parse: JSON.parse,
    function: ({ city }) => `It rains in ${city}.`,
  },
};

async function use(client) {
  const runner = client.chat.completions.runTools({ model: "m", messages, tools: [weather], stream: true });
  const called = await runner.finalContent();
  const stream = await client.chat.completions.create({
    model: "m",
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const parsed = await client.chat.completions.parse({
    model: "m",
    messages,
    response_format: zodResponseFormat(City, "city"),
  });
  const events = client.responses.stream({ model: "m", input: "Say hello." });
  const kinds = [];
  for await (const event of events) kinds.push(event.type);
  const response = await events.finalResponse();
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  return {
    called,
    words: chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta.content ?? "")),
    usage: chunks.at(-1).usage,
    parsed: parsed.choices[0].message.parsed,
    responded: response.output_text,
    kinds,
    listed,
  };
}

async function say(client) {
  const options = { model: "m", messages, max_tokens: 8 };
  const whole = await client.chat.completions.create(options);
  const streamed = client.chat.completions.stream(options);
  const words = await streamed.finalContent();
  return { whole: whole.choices[0].message.content, words };
}

async function leave(client) {
  const stream = await client.chat.completions.create({ model: "m", messages, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content) stream.controller.abort();
  }
  return { aborted: stream.controller.signal.aborted };
}

for (const baseURL of urls) {
  const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
  console.log(JSON.stringify(await { use, say, leave }[what](client)));
}
