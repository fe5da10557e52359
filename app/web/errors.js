// Says what went wrong, in the service's own words.

import { byId } from "./dom.js";

const TITLES = {
  empty_audio: "The file is empty",
  unreadable_audio: "This is not a sound that the service can read",
  damaged_audio: "The file is damaged",
  unsupported_audio: "This kind of sound is not taken",
  audio_too_short: "The sound is too short",
  audio_too_long: "The sound is too long",
  payload_too_large: "The file is too large",
  unauthorized: "The service does not know this API key",
  queue_full: "The service is full at the moment",
  not_ready: "The service is still starting, or shutting down",
  timeout: "It took too long",
  out_of_memory: "The service has no memory for this sound now",
  unreachable: "The service cannot be reached",
  internal_error: "The service has a fault",
  no_microphone: "There is nothing to record with",
  no_file: "That was no file",
};
const WORTH_ANOTHER_TRY = new Set(["queue_full", "not_ready", "shutting_down", "timeout", "out_of_memory", "unreachable"]);

/** Whether the same may work a little later. */
export function isPassing(error) {
  return WORTH_ANOTHER_TRY.has(error.type);
}

export function titleOf(error) {
  return TITLES[error.type] ?? "That did not work";
}

export function hideError() {
  byId("error").hidden = true;
}

/** Show an error of the service, or any other that has a type and a message; `onRetry()` is what to do again. */
export function showError(error, onRetry = null) {
  const { type, message, requestId, retryAfterS } = error;
  byId("error-title").textContent = titleOf(error);
  byId("error-message").textContent = retryAfterS ? `${message} (Try again in ${retryAfterS} s.)` : message;
  byId("error-details").textContent = requestId ? `Error ${type}, request ${requestId}` : "";
  byId("retry").hidden = !(onRetry && isPassing(error));
  byId("retry").onclick = onRetry;
  byId("error").hidden = false;
  byId("error").scrollIntoView({ block: "nearest" });
}
