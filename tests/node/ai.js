// Uses Vercel's AI SDK at each base URL, and prints what came of it: a line of JSON each.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [what, ...urls] = process.argv.slice(2);
const prompt = "Is there rain in Paris?";
const City = z.object({ name: z.enum(["Paris", "Rome"]), river: z.enum(["Seine", "Tiber"]) });
const weather = tool({
  description: "Tell the weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `It rains in ${city}.`,
});
const options = { maxRetries: 0, tools: { weather }, stopWhen: stepCountIs(3) };

// Chat completions by the provider that the SDK has for servers such as ours, Responses by OpenAI's own.
const chat = (baseURL) =>
  createOpenAICompatible({
    name: "here",
    baseURL,
    apiKey: "none",
    includeUsage: true,
    supportsStructuredOutputs: true,
  })("m");
const responses = (baseURL) => createOpenAI({ baseURL, apiKey: "none" }).responses("m");

async function use(model) {
  const streamed = streamText({ model, prompt, ...options });
  const parts = [];
  for await (const part of streamed.fullStream) parts.push(part);
  const whole = await generateText({ model, prompt, ...options });
  const output = Output.object({ schema: City });
  const made = await generateText({ model, prompt, maxRetries: 0, output });
  const growing = streamText({ model, prompt, maxRetries: 0, output });
  const objects = [];
  for await (const object of growing.partialOutputStream) objects.push(object);
  return {
    kinds: parts.map(({ type }) => type),
    text: await streamed.text,
    usage: await streamed.totalUsage,
    warnings: await streamed.warnings,
    whole: whole.text,
    steps: whole.steps.map(({ finishReason }) => finishReason),
    made: made.output,
    grown: objects.at(-1),
  };
}

async function say(model) {
  const asked = { model, prompt, maxRetries: 0, maxOutputTokens: 8 };
  const { text } = await generateText(asked);
  return { whole: text, words: await streamText(asked).text };
}

async function leave(model) {
  const leaving = new AbortController();
  const streamed = streamText({ model, prompt, maxRetries: 0, abortSignal: leaving.signal });
  const kinds = [];
  for await (const { type } of streamed.fullStream) {
    kinds.push(type);
    if (type === "text-delta") leaving.abort();
  }
  return { kinds };
}

for (const url of urls) {
  for (const open of [chat, responses]) {
    console.log(JSON.stringify(await { use, say, leave }[what](open(url))));
  }
}
