// Says what went wrong, in the service's own words.

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

const byId = (id) => document.getElementById(id);

export function hideError() {
  byId("error").hidden = true;
}

/** Show an error of the service, or any other that has a type and a message. */
export function showError({ type, message, requestId, retryAfterS }) {
  byId("error-title").textContent = TITLES[type] ?? "That did not work";
  byId("error-message").textContent = retryAfterS ? `${message} (Try again in ${retryAfterS} s.)` : message;
  byId("error-details").textContent = requestId ? `Error ${type}, request ${requestId}` : "";
  byId("retry").hidden = !WORTH_ANOTHER_TRY.has(type);
  byId("error").hidden = false;
}
