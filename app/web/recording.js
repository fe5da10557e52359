// The button that records, and the level beside it.

import { showError } from "./errors.js";
import { Recording } from "./recorder.js";
import { clock } from "./result.js";
import { byId, say } from "./dom.js";

let recording = null;
let made = 0;

/** Make the button work: `onStart()` is called when a recording begins, `onFile(file)` when it has ended. */
export function acceptRecordings(onStart, onFile) {
  byId("record").addEventListener("click", () => (recording ? finish() : record()));

  async function record() {
    const button = byId("record");
    button.disabled = true;
    try {
      recording = await Recording.start(hear);
      onStart();
      button.setAttribute("aria-pressed", "true");
      byId("level").hidden = false;
      hear(0, 0);
      say("Recording");
    } catch (error) {
      const refused =
        error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : error.message;
      showError({ type: "no_microphone", message: refused });
    } finally {
      button.disabled = false;
    }
  }

  function hear(seconds, peak) {
    byId("level").value = peak;
    byId("record").textContent = `Stop recording ${clock(Math.floor(seconds))}`;
    if (recording?.full) finish();
  }

  async function finish() {
    const ended = recording;
    recording = null;
    const file = await ended.stop(made++ ? `recording-${made}.wav` : "recording.wav");
    byId("record").setAttribute("aria-pressed", "false");
    byId("record").textContent = "Record";
    byId("level").hidden = true;
    onFile(file);
  }
}
