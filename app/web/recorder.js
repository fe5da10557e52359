// Records the microphone through Web Audio.

import { wavFile } from "./wav.js";

/** As long as the service takes a sound to be, unless it is set otherwise. */
const LONGEST_S = 600;

/** One recording: from `Recording.start()` to `stop()`. */
export class Recording {
  /** Ask for the microphone and begin; `onBlock(seconds, peak)` is called several times a second. */
  static async start(onBlock) {
    if (!navigator.mediaDevices) {
      throw new Error("Browsers record only on pages of this machine or over HTTPS; this page was opened over plain HTTP.");
    }
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule("page/recorder-worklet.js");
      return new Recording(stream, context, onBlock);
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      await context.close();
      throw error;
    }
  }

  constructor(stream, context, onBlock) {
    this.stream = stream;
    this.context = context;
    this.blocks = [];
    this.samples = 0;
    this.node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    this.done = new Promise((resolve) => {
      this.node.port.onmessage = ({ data }) => (data === null ? resolve() : this.add(data, onBlock));
    });
    context.createMediaStreamSource(stream).connect(this.node);
  }

  add(block, onBlock) {
    const fitting = block.subarray(0, LONGEST_S * this.context.sampleRate - this.samples);
    this.blocks.push(fitting);
    this.samples += fitting.length;
    onBlock(this.samples / this.context.sampleRate, fitting.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0));
  }

  get full() {
    return this.samples >= LONGEST_S * this.context.sampleRate;
  }

  /** The recording as a WAV file of that name. */
  async stop(name) {
    this.node.port.postMessage("stop");
    await this.done;
    this.stream.getTracks().forEach((track) => track.stop());
    const rateHz = this.context.sampleRate;
    await this.context.close();
    return wavFile(this.blocks, rateHz, name);
  }
}
