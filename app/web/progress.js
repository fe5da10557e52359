// How far the work is: a bar and a line to see, and now and then a sentence to hear.

import { byId, say } from "./dom.js";

/** More often than that, a screen reader would speak of nothing else. */
const SAY_EVERY_MS = 4000;

let saidAt = 0;

/** Show how many of `total` are done; `text` says it in words. */
export function showProgress(done, total, text) {
  byId("progress").hidden = false;
  const bar = byId("progress-bar");
  bar.hidden = total < 2;
  Object.assign(bar, { max: total, value: done });
  byId("progress-text").textContent = text;
  if (Date.now() - saidAt > SAY_EVERY_MS) {
    saidAt = Date.now();
    say(text);
  }
}

export function hideProgress() {
  byId("progress").hidden = true;
  saidAt = 0;
}
