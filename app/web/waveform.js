// The sound as bars on a canvas: what was played is in the accent's colour, the timeline's parts are divided by lines.

/** Enough to see a shape by, and a fortieth of the memory that a long stereo file takes as it is. */
const RATE_HZ = 8000;
const BAR_PX = 3;
const GAP_PX = 1;

/** The loudest sample of each of a thousand parts, or null where this browser cannot decode the file. */
export async function peaksOf(file, count = 1000) {
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer());
  } catch {
    return null;
  }
  const samples = sound.getChannelData(0);
  const peaks = new Float32Array(Math.min(count, samples.length));
  for (let index = 0; index < samples.length; index++) {
    const part = Math.floor((index * peaks.length) / samples.length);
    peaks[part] = Math.max(peaks[part], Math.abs(samples[index]));
  }
  return peaks;
}

/** Draw `peaks`; `played` and `marks` are shares of the whole, between 0 and 1. */
export function draw(canvas, peaks, played, marks) {
  const { width, height } = fitted(canvas);
  const colours = getComputedStyle(canvas);
  const paint = canvas.getContext("2d");
  paint.clearRect(0, 0, width, height);
  const bars = Math.floor(width / (BAR_PX + GAP_PX));
  const loudest = Math.max(0.001, ...peaks);
  for (let bar = 0; bar < bars; bar++) {
    const first = Math.floor((bar * peaks.length) / bars);
    const last = Math.max(first + 1, Math.floor(((bar + 1) * peaks.length) / bars));
    const tall = Math.max(2, (Math.max(...peaks.subarray(first, last)) / loudest) * (height - 8));
    paint.fillStyle = colours.getPropertyValue(bar / bars < played ? "--accent" : "--wave");
    paint.fillRect(bar * (BAR_PX + GAP_PX), (height - tall) / 2, BAR_PX, tall);
  }
  paint.fillStyle = colours.getPropertyValue("--quiet");
  for (const mark of marks) paint.fillRect(Math.round(mark * width), 0, 1, height);
}

/** Give the canvas as many pixels as the screen has there, and measure it in the page's pixels. */
function fitted(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * density);
  canvas.height = Math.round(height * density);
  canvas.getContext("2d").setTransform(density, 0, 0, density, 0, 0);
  return { width, height };
}
