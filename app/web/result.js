// Writes an answer of POST /caption into the page.

import { byId, element } from "./dom.js";

const SIDE_BY_SIDE = 5;
const STAGES = {
  receive: "Receive",
  queue: "Wait in queues",
  decode: "Decode",
  embed: "Embed",
  bridge: "Bridge",
  write: "Write captions",
  answer: "Answer",
};

/** Seconds as people read them: 7.5 s, 0:40, 1:05. */
export function clock(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function length(seconds) {
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${clock(seconds)} min`;
}

/** Show all of an answer; `onPart` is called with a part of the timeline that somebody wants to hear. */
export function showResult(file, result, times, onPart) {
  byId("filename").textContent = file.name;
  byId("duration").textContent = length(result.duration_s);
  byId("caption").textContent = result.caption;
  byId("score").textContent = result.score.toFixed(2);
  byId("waveform").setAttribute("aria-label", `Waveform of ${file.name}, ${length(result.duration_s)}`);
  showTimeline(result.timeline, onPart);
  byId("candidates").replaceChildren(...result.candidates.map(candidateItem));
  showTimes(times);
}

function showTimeline(parts, onPart) {
  const list = byId("timeline");
  list.hidden = parts.length < 2; // one part says what the caption says
  list.className = parts.length > SIDE_BY_SIDE ? "long" : "";
  list.replaceChildren(
    ...parts.map((part) => {
      const button = element("button", "");
      button.type = "button";
      button.append(
        element("span", "when", `▶ ${clock(part.start_s)} – ${clock(part.end_s)} · ${part.score.toFixed(2)}`),
        inItsDirection(element("span", "what", part.caption)),
      );
      button.setAttribute(
        "aria-label",
        `Play ${clock(part.start_s)} to ${clock(part.end_s)}: ${part.caption}, score ${part.score.toFixed(2)}`,
      );
      button.addEventListener("click", () => onPart(part));
      const item = element("li", "");
      item.style.flexGrow = part.end_s - part.start_s;
      item.append(button);
      return item;
    }),
  );
}

function candidateItem(candidate) {
  const item = element("li", "");
  item.append(inItsDirection(element("span", "what", candidate.caption)), element("span", "score", candidate.score.toFixed(4)));
  return item;
}

function showTimes(times) {
  const total = times.find(({ name }) => name === "total").ms;
  const stages = times.filter(({ name }) => name in STAGES);
  byId("bar").replaceChildren(
    ...stages.map(({ ms }, index) => {
      const span = element("span", `stage-${index + 1}`);
      span.style.flexGrow = ms;
      return span;
    }),
  );
  byId("times").replaceChildren(
    ...stages.flatMap(({ name, ms }, index) => [element("dt", `stage-${index + 1}`, STAGES[name]), time("", ms)]),
    element("dt", "total", "Total"),
    time("total", total),
  );
}

function time(className, ms) {
  return element("dd", className, `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`);
}

/** A caption may be in a script that runs from right to left, whatever the page's own does. */
function inItsDirection(made) {
  made.dir = "auto";
  return made;
}
