// The `openai` client for JavaScript, as it is: models, an answer, an answer as a stream.

import OpenAI from "openai";

const url = process.env.HEARTH_URL ?? "http://127.0.0.1:8080";
const client = new OpenAI({
  baseURL: `${url}/v1`,
  apiKey: process.env.HEARTH_API_KEY ?? "none",
});

for await (const model of client.models.list()) console.log("model:", model.id);

const question = { role: "user", content: "What is the capital of France? Answer in one sentence." };
const answer = await client.chat.completions.create({
  model: "default", messages: [question], max_tokens: 64,
});
console.log("answer:", answer.choices[0].message.content);
console.log("tokens:", answer.usage.prompt_tokens, "+", answer.usage.completion_tokens);

process.stdout.write("stream: ");
const chunks = await client.chat.completions.create({
  model: "default", messages: [question], max_tokens: 64, stream: true,
});
for await (const chunk of chunks) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
console.log();
