// Puts the page together: sounds come in by drop, choice or microphone, go to the service, and their captions come out.

import { acceptCopying, resetCopying } from "./copy.js";
import { hideError, showError } from "./errors.js";
import { filesOf } from "./files.js";
import { Finder } from "./finder.js";
import { List } from "./list.js";
import { Player } from "./player.js";
import { hideProgress, showProgress } from "./progress.js";
import { acceptRecordings } from "./recording.js";
import { showResult } from "./result.js";
import * as service from "./service.js";
import { Sounds } from "./sounds.js";
import { byId, counted, say } from "./dom.js";

const player = new Player({
  audio: byId("player"),
  canvas: byId("waveform"),
  timeline: byId("timeline"),
  noWaveform: byId("no-waveform"),
});
const sounds = new Sounds(changed);
const list = new List(byId("list"), (sound) => {
  awaited = [];
  choose(sound);
});
const finder = new Finder(sounds, {
  onBegin: () => (chosen?.state === "failed" ? showFault(chosen) : hideError()), // the fault of an earlier search is of no use
  onOrder: showList,
  onProgress: showWork,
  onError: (error) => fail(error, () => finder.find()),
});
let chosen = null; // the sound that is shown
let awaited = []; // the first of these to be heard is shown

function give(files) {
  hideError();
  if (files.length === 0) {
    showError({ type: "no_file", message: "Drop sound files, or a folder of them, from this machine." });
    return;
  }
  player.pause();
  const added = sounds.add(files);
  captionAll(added, added);
}

/** Caption sounds, and show the first of `toShow` that is heard. */
async function captionAll(some, toShow) {
  awaited = toShow;
  hideError();
  showList();
  await sounds.caption(some);
  showWork();
  if (sounds.refusal) fail(sounds.refusal);
  else if (sounds.left === 0 && sounds.all.includes(some[0])) sayEnd(some);
  showList();
}

function sayEnd(some) {
  const those = (wanted) => some.filter(({ state }) => state === wanted);
  const [heard, failed, stopped] = ["heard", "failed", "stopped"].map(those);
  if (failed.length > 0 && awaited.length > 0) choose(failed[0]);
  awaited = [];
  const outcome = `${counted(heard.length)} captioned, ${counted(failed.length, "error")}`;
  if (some.length > 1) say(stopped.length > 0 ? `Stopped. ${outcome}, ${stopped.length} left` : outcome);
  if (finder.words && heard.length > 0) finder.find();
}

/** The service is done with a sound, has begun with it, or lets it wait. */
function changed(sound) {
  list.update(sound);
  showWork();
  if (sound.state !== "heard" || !awaited.includes(sound)) return;
  const alone = awaited.length === 1;
  awaited = [];
  choose(sound);
  if (!alone) return;
  const { caption, score, timeline } = sound.result;
  byId("caption").focus();
  const parts = timeline.length > 1 ? `. ${timeline.length} parts in the timeline` : "";
  say(`Heard: ${caption}, score ${score.toFixed(2)}${parts}`);
}

function showList() {
  const several = sounds.all.length > 1;
  document.body.classList.toggle("several", several);
  byId("sounds").hidden = !several;
  byId("count").textContent = counted(sounds.all.length);
  const remaining = sounds.remaining.length;
  byId("again").hidden = remaining === 0 || sounds.left > 0;
  byId("again").textContent = `Caption the remaining ${remaining}`;
  list.show(finder.ordered);
  list.choose(chosen);
}

function showWork() {
  if (sounds.left > 0) showProgress(sounds.done, sounds.total, workInWords());
  else if (finder.busy) showProgress(finder.done, finder.total, `Comparing with the words: ${finder.done} of ${finder.total}`);
  else {
    if (document.activeElement === byId("stop")) leaveStop();
    hideProgress();
  }
}

/** The button to stop is about to go, and must not take the focus with it. */
function leaveStop() {
  byId(sounds.all.length > 1 ? "words" : "file").focus();
}

function workInWords() {
  const working = sounds.all.find(({ state }) => state === "working");
  if (!working && sounds.fullForS > 0) return `The service is full; it will be asked again in ${sounds.fullForS} s`;
  if (sounds.total > 1) return `${sounds.done} of ${sounds.total} sounds are done`;
  return `Listening to ${working?.file.name ?? "the sound"} …`;
}

function choose(sound) {
  chosen = sound;
  list.choose(sound);
  hideError();
  player.pause();
  byId("result").hidden = sound.state !== "heard";
  if (sound.state === "failed") return showFault(sound);
  document.body.classList.add("has-result");
  showResult(sound.file, sound.result, sound.times, (part) => player.play(part.start_s, part.end_s));
  resetCopying();
  player.load(sound.file, sound.result.duration_s, sound.result.timeline);
}

function showFault(sound) {
  showError(sound.error, () => {
    captionAll([sound], [sound]);
    byId("stop").focus();
  });
}

/** Where the result stands below the list, somebody who clicks into the list wants to see it. */
function reveal() {
  const top = byId("detail").getBoundingClientRect().top;
  if (top > innerHeight - 200) byId("detail").scrollIntoView();
}

function stop() {
  finder.stop();
  sounds.stop();
  say("Stopped");
  if (sounds.all.length === 1 && !chosen) sounds.clear();
}

function clear() {
  sounds.clear();
  chosen = null;
  awaited = [];
  byId("words").value = "";
  finder.stop();
  finder.reset();
  hideError();
  player.pause();
  byId("result").hidden = true;
  document.body.classList.remove("has-result");
  byId("file").focus();
  say("The list is empty");
}

function fail(error, onRetry = null) {
  if (error.status === 401) {
    byId("key-form").hidden = false;
    byId("key").focus();
    if (!byId("key").value) return;
  }
  showError(error, onRetry);
}

async function introduce() {
  try {
    const { name, version, device } = await service.model();
    byId("model").textContent = `${name} ${version} on ${device}`;
    byId("key-form").hidden = true;
    hideError();
    return true;
  } catch (error) {
    fail(error, introduce);
    return false;
  }
}

async function useKey(event) {
  event.preventDefault();
  service.useKey(byId("key").value.trim());
  if (!(await introduce())) return;
  say("The key is accepted");
  if (sounds.remaining.length > 0) captionRemaining();
  else byId("file").focus();
}

function captionRemaining() {
  const { remaining } = sounds;
  captionAll(remaining, chosen?.state === "heard" ? [] : remaining);
  byId("stop").focus();
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
  addEventListener("drop", async (event) => {
    event.preventDefault();
    mark(false);
    give(await filesOf(event.dataTransfer));
  });
}

byId("file").addEventListener("change", (event) => {
  give([...event.target.files]);
  event.target.value = ""; // so that the same file can be chosen again
});
byId("list").addEventListener("click", ({ target }) => target.matches("input") || setTimeout(reveal));
byId("stop").addEventListener("click", stop);
byId("again").addEventListener("click", captionRemaining);
byId("clear").addEventListener("click", clear);
byId("key-form").addEventListener("submit", useKey);
acceptRecordings(
  () => {
    hideError();
    player.pause();
  },
  (file) => give([file]),
);
acceptCopying(() => chosen, fail);
acceptDrops();
introduce();
