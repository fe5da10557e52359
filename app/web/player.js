// Plays a sound, the whole or one part of it, and shows where it is: in the waveform and in the timeline.

import { draw, peaksOf } from "./waveform.js";

export class Player {
  constructor({ audio, canvas, timeline, noWaveform }) {
    Object.assign(this, { audio, canvas, timeline, noWaveform });
    this.parts = [];
    this.peaks = null;
    this.startAt = 0;
    this.stopAt = Infinity;
    audio.addEventListener("seeking", () => this.leave());
    audio.addEventListener("play", () => this.follow());
    audio.addEventListener("seeked", () => this.show());
    canvas.addEventListener("click", (event) => this.play((event.offsetX / canvas.clientWidth) * this.duration));
    new ResizeObserver(() => this.show()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show());
  }

  /** Take a new sound, whose waveform follows once it is decoded. */
  async load(file, duration, parts) {
    URL.revokeObjectURL(this.audio.src);
    this.audio.src = URL.createObjectURL(file);
    Object.assign(this, { file, duration, parts, peaks: null, stopAt: Infinity });
    this.canvas.width = 0; // the last sound's waveform is not this one's
    const peaks = await peaksOf(file);
    if (this.file !== file) return;
    this.peaks = peaks;
    this.canvas.hidden = peaks === null;
    this.noWaveform.hidden = peaks !== null;
    this.show();
  }

  /** Play from `start` to `end`, in seconds. */
  play(start, end = Infinity) {
    this.audio.currentTime = start;
    Object.assign(this, { startAt: start, stopAt: end });
    return this.audio.play().catch(() => undefined); // a file that this browser cannot play has an inactive player
  }

  pause() {
    this.audio.pause();
  }

  /** Somebody who goes to another part with the browser's own controls wants to hear on. */
  leave() {
    const { currentTime } = this.audio;
    if (currentTime < this.startAt || currentTime >= this.stopAt) this.stopAt = Infinity;
  }

  follow() {
    if (!this.audio.seeking && this.audio.currentTime >= this.stopAt) {
      this.audio.pause();
      this.stopAt = Infinity;
    }
    this.show();
    if (!this.audio.paused) requestAnimationFrame(() => this.follow());
  }

  show() {
    const now = this.audio.currentTime;
    const begun = now > 0 || !this.audio.paused;
    this.parts.forEach((part, index) => {
      const current = begun && now >= part.start_s && now < part.end_s;
      this.timeline.children[index]?.firstElementChild.setAttribute("aria-current", String(current));
    });
    if (this.peaks === null || this.canvas.clientWidth === 0) return;
    const marks = this.parts.slice(1).map((part) => part.start_s / this.duration);
    draw(this.canvas, this.peaks, now / this.duration, marks);
  }
}
