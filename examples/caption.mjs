// Caption files with Node 20 or newer, and nothing to install; a browser has fetch, FormData and File as well.
//
//   node examples/caption.mjs http://127.0.0.1:8000 examples/*.wav examples/*.mp3

import { openAsBlob } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const RETRIES = 5;
const MAX_WAIT_S = 30;

class ServiceError extends Error {
  constructor(status, { type, message, request_id }) {
    super(`${message} (${type}, status ${status}, request ${request_id})`);
    Object.assign(this, { status, type, requestId: request_id });
  }
}

/** POST a form; while the service is full (429) or not ready (503), wait as long as it says and try again. */
async function post(url, form) {
  const headers = process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {};
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(url, { method: "POST", body: form, headers });
    if (response.ok) return response.json();
    const text = await response.text();
    if (![429, 503].includes(response.status) || attempt === RETRIES) throw errorOf(response.status, text);
    const seconds = Number(response.headers.get("retry-after"));
    await sleep(1000 * Math.min(seconds > 0 ? seconds : 1, MAX_WAIT_S));
  }
}

/** What the service says, or a proxy before it, whose body can be anything. */
function errorOf(status, text) {
  try {
    return new ServiceError(status, JSON.parse(text).error);
  } catch {
    return new ServiceError(status, { type: "http_error", message: text.slice(0, 200), request_id: "" });
  }
}

const [url, ...files] = process.argv.slice(2);
const form = new FormData();
for (const file of files) form.append("file", await openAsBlob(file), basename(file));
try {
  for (const { filename, caption, error } of (await post(`${url}/caption`, form)).results) {
    console.log(`${filename}: ${error ? error.message : caption}`);
    if (error) process.exitCode = 1;
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
