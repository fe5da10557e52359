// The calls to the service. The API key, where one is asked for, lives in this module's memory only.

let key = "";

/** What went wrong, as the service says it in the body of an error. */
export class ServiceError extends Error {
  constructor(status, type, message, requestId = "", retryAfterS = null) {
    super(message);
    Object.assign(this, { status, type, requestId, retryAfterS });
  }
}

export function useKey(value) {
  key = value;
}

/** Captions of one sound, and the milliseconds of each stage. */
export async function caption(file, signal) {
  const response = await post("caption?timeline=true&candidates=3", file, signal);
  const { results } = await response.json();
  return { result: results[0], times: stageTimes(response.headers) };
}

/** The text-space embedding of one sound. */
export async function embedding(file, signal) {
  const { results } = await (await post("bridge", file, signal)).json();
  return results[0].embedding;
}

/** The embedding of words, in the same space. */
export async function textEmbedding(words, signal) {
  const headers = { "content-type": "application/json" };
  const { results } = await (
    await call("text", { method: "POST", headers, body: JSON.stringify({ texts: [words] }), signal })
  ).json();
  return results[0].embedding;
}

/** What is served. */
export async function model() {
  const { models } = await (await call("models")).json();
  return models[0];
}

function post(path, file, signal) {
  const body = new FormData();
  body.append("file", file, file.name);
  return call(path, { method: "POST", body, signal });
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, "unreachable", "The service did not answer. Is it running, and is the file within its limits?");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const retryAfter = Number(response.headers.get("retry-after"));
  let error = {};
  try {
    ({ error } = await response.json());
  } catch {
    // Not from the service: a proxy's page, say. The status is all there is.
  }
  return new ServiceError(
    response.status,
    error?.type ?? "http_error",
    error?.message ?? `The answer has the status ${response.status} and no explanation.`,
    error?.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter > 0 ? retryAfter : null,
  );
}

function stageTimes(headers) {
  const stages = ["receive", "queue", "decode", "embed", "bridge", "write", "answer", "total"];
  return stages.map((name) => ({ name, ms: Number(headers.get(`x-${name}-ms`) ?? 0) }));
}
