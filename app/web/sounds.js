// The sounds that were given to the page, and what became of each: waiting, working, heard, failed or stopped.
//
// Each goes to the service in a request of its own: a bad file harms no other, the limits of one request are a file's own,
// and the times in the answer's headers are its own too.

import { isPassing } from "./errors.js";
import * as service from "./service.js";
import { inTurn } from "./turns.js";

export class Sounds {
  /** `changed(sound)` is called whenever the state of a sound is another. */
  constructor(changed) {
    this.all = [];
    this.changed = changed;
    this.total = 0;
    this.left = 0;
    this.fullForS = 0;
    this.refusal = null;
    this.stopper = new AbortController();
  }

  get done() {
    return this.total - this.left;
  }

  /** Those that another try may caption. */
  get remaining() {
    return this.all.filter(({ state, error }) => state === "stopped" || (state === "failed" && isPassing(error)));
  }

  add(files) {
    const added = files.map((file) => ({ file, state: "new", embedding: null, cosine: null }));
    this.all.push(...added);
    return added;
  }

  /** Caption sounds; ends when each of them is heard, failed or stopped. */
  async caption(sounds) {
    if (this.left === 0) this.total = 0;
    this.total += sounds.length;
    this.left += sounds.length;
    this.refusal = null;
    for (const sound of sounds) this.become(sound, { state: "waiting", error: null });
    const { signal } = this.stopper;
    await Promise.all(sounds.map((sound) => this.captionOne(sound, signal)));
  }

  async captionOne(sound, signal) {
    let outcome;
    try {
      const answer = await inTurn(
        () => {
          this.fullForS = 0;
          this.become(sound, { state: "working" });
          return service.caption(sound.file, signal);
        },
        { signal, onFull: (seconds) => this.wait(sound, seconds) },
      );
      outcome = { state: "heard", ...answer };
    } catch (error) {
      outcome = this.outcomeOf(error);
    }
    this.left--;
    this.become(sound, outcome);
  }

  outcomeOf(error) {
    if (error.name === "AbortError") return { state: "stopped" };
    if (error.status !== 401) return { state: "failed", error };
    // Without a key there is no use in asking for the others.
    this.refusal = error;
    this.stop();
    return { state: "stopped" };
  }

  wait(sound, seconds) {
    this.fullForS = seconds;
    this.become(sound, { state: "waiting" });
  }

  become(sound, outcome) {
    Object.assign(sound, outcome);
    this.changed(sound);
  }

  stop() {
    this.stopper.abort();
    this.stopper = new AbortController();
    this.fullForS = 0;
  }

  clear() {
    this.stop();
    this.all = [];
  }
}
