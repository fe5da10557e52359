// The list of sounds: a group of radio buttons, so that the arrow keys walk through it and the tabulator leaves it.

import { titleOf } from "./errors.js";
import { element } from "./dom.js";

const STATES = { new: "Waiting", waiting: "Waiting", working: "Listening …", stopped: "Stopped" };

export class List {
  /** `onChoose(sound, byPointer)` is called when one is chosen. */
  constructor(place, onChoose) {
    this.place = place;
    this.onChoose = onChoose;
    this.rows = new Map();
  }

  /** Show sounds in this order; rows that are there are moved, not made anew. */
  show(sounds) {
    const rows = sounds.map((sound) => this.rows.get(sound) ?? this.make(sound));
    this.rows = new Map(sounds.map((sound, index) => [sound, rows[index]]));
    this.place.replaceChildren(...rows);
    for (const sound of sounds) this.update(sound);
  }

  /** Write what is known of a sound into its row. */
  update(sound) {
    const row = this.rows.get(sound);
    if (!row) return;
    const { state, result, error, cosine } = sound;
    row.className = `sound ${state}`;
    row.querySelector("input").disabled = state !== "heard" && state !== "failed";
    row.querySelector(".what").textContent = result?.caption ?? (error ? titleOf(error) : STATES[state]);
    row.querySelector(".score").textContent = result ? `score ${result.score.toFixed(2)}` : "";
    row.querySelector(".cosine").textContent = cosine === null ? "" : `cosine ${cosine.toFixed(2)}`;
  }

  choose(sound) {
    const row = this.rows.get(sound);
    if (row) row.querySelector("input").checked = true;
  }

  make(sound) {
    const row = element("label", "sound");
    const input = element("input", "visually-hidden");
    Object.assign(input, { type: "radio", name: "sound" });
    const name = element("span", "name", sound.file.name);
    const what = element("span", "what");
    name.title = sound.file.name;
    name.dir = what.dir = "auto";
    row.append(input, what, element("span", "cosine"), name, element("span", "score"));
    input.addEventListener("change", () => this.onChoose(sound));
    return row;
  }
}
