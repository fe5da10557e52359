// Puts the page together: a sound comes in by drop, choice or microphone, goes to the service, and its captions come out.

import { hideError, showError } from "./errors.js";
import { Player } from "./player.js";
import { Recording } from "./recorder.js";
import { clock, showResult } from "./result.js";
import * as service from "./service.js";

const byId = (id) => document.getElementById(id);
const player = new Player({
  audio: byId("player"),
  canvas: byId("waveform"),
  timeline: byId("timeline"),
  noWaveform: byId("no-waveform"),
});
let sound = null; // the last file that was given
let work = null; // aborts the request that runs
let recording = null;

function say(text) {
  byId("status").textContent = text;
}

/** Send a sound to the service; a sound that comes while another is under way takes its place. */
async function listen(file) {
  work?.abort();
  const mine = (work = new AbortController());
  sound = file;
  player.pause();
  hideError();
  byId("result").hidden = true;
  byId("progress").hidden = false;
  byId("progress-text").textContent = `Listening to ${file.name} …`;
  say(`Listening to ${file.name}`);
  try {
    const { result, times } = await service.caption(file, mine.signal);
    if (mine === work) show(file, result, times);
  } catch (error) {
    if (mine === work && error.name !== "AbortError") fail(error);
  } finally {
    if (mine === work) byId("progress").hidden = true;
  }
}

function show(file, result, times) {
  showResult(file, result, times, (part) => player.play(part.start_s, part.end_s));
  byId("by-hand").hidden = true;
  byId("copy").textContent = "Copy embedding";
  byId("result").hidden = false;
  document.body.classList.add("has-result");
  player.load(file, result.duration_s, result.timeline);
  byId("caption").focus();
  say(`Heard: ${result.caption}, score ${result.score.toFixed(2)}. ${result.timeline.length} parts in the timeline.`);
}

function fail(error) {
  say("");
  if (error.status === 401) {
    askForKey();
    if (!byId("key").value) return;
  }
  showError(error);
}

function askForKey() {
  byId("key-form").hidden = false;
  byId("key").focus();
}

async function introduce() {
  try {
    const { name, version, device } = await service.model();
    byId("model").textContent = `${name} ${version} on ${device}`;
    byId("key-form").hidden = true;
    hideError();
    return true;
  } catch (error) {
    fail(error);
    return false;
  }
}

async function useKey(event) {
  event.preventDefault();
  service.useKey(byId("key").value.trim());
  if (!(await introduce())) return;
  say("The key is accepted");
  if (sound) listen(sound);
  else byId("file").focus();
}

function take(files) {
  const [file] = files;
  if (file) listen(file);
  else showError({ type: "no_file", message: "Drop a sound file from a folder of this machine." });
}

async function record() {
  const button = byId("record");
  button.disabled = true;
  hideError();
  try {
    recording = await Recording.start(hear);
    player.pause();
    button.setAttribute("aria-pressed", "true");
    byId("level").hidden = false;
    hear(0, 0);
    say("Recording");
  } catch (error) {
    const refused = error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : error.message;
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
  const file = await ended.stop();
  byId("record").setAttribute("aria-pressed", "false");
  byId("record").textContent = "Record";
  byId("level").hidden = true;
  listen(file);
}

async function copyEmbedding() {
  const button = byId("copy");
  button.disabled = true;
  try {
    const vector = await service.embedding(sound);
    const text = JSON.stringify(vector);
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = `Copied ${vector.length} numbers`;
      say(`Copied ${vector.length} numbers`);
    } catch {
      byId("by-hand").hidden = false;
      byId("vector").value = text;
      byId("vector").select();
    }
  } catch (error) {
    fail(error);
  } finally {
    button.disabled = false;
  }
}

function acceptDrops() {
  // The whole window takes drops: a file that misses the box would otherwise open in place of the page.
  const mark = (on) => byId("drop").classList.toggle("over", on);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take(event.dataTransfer.files);
  });
}

byId("file").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
});
byId("record").addEventListener("click", () => (recording ? finish() : record()));
byId("cancel").addEventListener("click", () => {
  work.abort();
  byId("progress").hidden = true;
  say("Cancelled");
});
byId("retry").addEventListener("click", () => (sound ? listen(sound) : introduce()));
byId("copy").addEventListener("click", copyEmbedding);
byId("key-form").addEventListener("submit", useKey);
acceptDrops();
introduce();
