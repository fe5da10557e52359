// The form that searches the list by words, and the order that the list is shown in.

import { measure, nearestFirst } from "./search.js";
import { byId, counted, say } from "./dom.js";

export class Finder {
  /** `onOrder()` is called when the order is another, `onProgress()` while embeddings come, `onError(error)` on a fault. */
  constructor(sounds, { onBegin, onOrder, onProgress, onError }) {
    Object.assign(this, { sounds, onBegin, onOrder, onProgress, onError });
    this.words = "";
    this.stopper = null;
    this.done = 0;
    this.total = 0;
    byId("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.find();
    });
    byId("words").addEventListener("input", (event) => {
      if (!event.target.value.trim() && this.words) this.find(); // its cross was pressed, say
    });
  }

  get busy() {
    return this.stopper !== null;
  }

  get ordered() {
    return this.words ? nearestFirst(this.sounds.all) : this.sounds.all;
  }

  /** Search by the words in the field; none give the list's own order back. */
  async find() {
    this.stop();
    const words = byId("words").value.trim();
    if (!words) return this.reset();
    const mine = (this.stopper = new AbortController());
    const heard = this.sounds.all.filter(({ state }) => state === "heard");
    Object.assign(this, { done: 0, total: heard.length });
    this.onBegin();
    this.onProgress();
    try {
      const fault = await measure(heard, words, mine.signal, (done) => {
        this.done = done;
        this.onProgress();
      });
      if (mine !== this.stopper) return;
      this.show(words);
      if (fault) this.onError(fault);
    } catch (error) {
      if (error.name !== "AbortError" && mine === this.stopper) this.onError(error);
    } finally {
      if (mine === this.stopper) this.stop();
    }
  }

  show(words) {
    this.words = words;
    byId("order").textContent = `Nearest to “${words}” first`;
    this.onOrder();
    const [nearest] = this.ordered;
    if (nearest?.cosine == null) return;
    say(`${counted(this.total)} by nearness. First: ${nearest.file.name}, cosine ${nearest.cosine.toFixed(2)}`);
  }

  reset() {
    this.words = "";
    for (const sound of this.sounds.all) sound.cosine = null;
    byId("order").textContent = "In the order given";
    this.onOrder();
    say("In the order given");
  }

  stop() {
    this.stopper?.abort();
    this.stopper = null;
    this.onProgress();
  }
}
