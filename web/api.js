// The two calls this page makes: the list of models, and an answer as a stream.

import { apiKey } from "./settings.js";
import { events } from "./sse.js";

// kind: "network" | "lost" | "format" | "server"; the rest is what the server said.
export class ApiFailure extends Error {
  constructor(kind, { status = 0, code = "", message = "", retry_after_s = 0 } = {}) {
    super(message || kind);
    Object.assign(this, { kind, status, code, detail: message, retry_after_s });
  }
}

function headers(more = {}) {
  const key = apiKey();
  return key === "" ? more : { ...more, Authorization: `Bearer ${key}` };
}

export async function listModels() {
  let response;
  try {
    response = await fetch("/v1/models", { headers: headers() });
  } catch {
    throw new ApiFailure("network");
  }
  if (!response.ok) throw await failureOf(response);
  const document = await response.json().catch(() => ({}));
  if (!Array.isArray(document?.data)) throw new ApiFailure("format");
  return document.data.map((model) => model?.id).filter((id) => typeof id === "string");
}

// Yields {text} for each piece and at the end {finish_reason, usage}. Ends with an AbortError when
// the signal says so, with an ApiFailure when anything else goes wrong.
export async function* streamChat(request, signal) {
  const options = { stream: true, stream_options: { include_usage: true } };
  const body = JSON.stringify({ ...request, ...options });
  let response;
  try {
    response = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers({ "Content-Type": "application/json" }), body, signal,
    });
  } catch (error) {
    throw signal.aborted ? error : new ApiFailure("network");
  }
  if (!response.ok) throw await failureOf(response);

  let finish_reason = null;
  let usage = null;
  const stream = events(response.body);
  for (;;) {
    let step;
    try {
      step = await stream.next();
    } catch (error) {
      throw signal.aborted ? error : new ApiFailure("lost");
    }
    if (step.done) throw new ApiFailure("lost");
    const { data } = step.value;
    if (data === "[DONE]") break;
    const chunk = parse(data);
    if (chunk.error) throw new ApiFailure("server", wordsOf(chunk.error, 0));
    const choice = chunk.choices?.[0];
    if (choice?.finish_reason) finish_reason = choice.finish_reason;
    if (chunk.usage) usage = chunk.usage;
    if (typeof choice?.delta?.content === "string" && choice.delta.content !== "") {
      yield { text: choice.delta.content };
    }
  }
  await stream.return();
  yield { finish_reason, usage };
}

function parse(data) {
  try {
    const chunk = JSON.parse(data);
    if (chunk !== null && typeof chunk === "object") return chunk;
  } catch {
    // Told below, in one way.
  }
  throw new ApiFailure("format");
}

function wordsOf(error, status) {
  const text = (value) => (typeof value === "string" ? value : "");
  return { status, code: text(error?.code), message: text(error?.message).slice(0, 1000) };
}

async function failureOf(response) {
  const document = await response.json().catch(() => ({}));
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  return new ApiFailure("server", {
    ...wordsOf(document?.error, response.status),
    retry_after_s: seconds > 0 && seconds <= 600 ? Math.ceil(seconds) : 0,
  });
}
