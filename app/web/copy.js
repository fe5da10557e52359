// The button that copies the embedding of the sound that is shown.

import { embeddingOf } from "./search.js";
import { byId, say } from "./dom.js";

const BUTTON_SAYS = "Copy embedding";

/** Make the button work: `soundOf()` gives the sound, `onError(error)` is called where its embedding cannot be had. */
export function acceptCopying(soundOf, onError) {
  byId("copy").addEventListener("click", async () => {
    const sound = soundOf();
    byId("copy").disabled = true;
    try {
      const vector = await embeddingOf(sound);
      if (sound === soundOf()) await copy(vector);
    } catch (error) {
      onError(error);
    } finally {
      byId("copy").disabled = false;
    }
  });
}

/** Forget what was said of another sound. */
export function resetCopying() {
  byId("by-hand").hidden = true;
  byId("copy").textContent = BUTTON_SAYS;
}

async function copy(vector) {
  const text = JSON.stringify(vector);
  try {
    await navigator.clipboard.writeText(text);
    byId("copy").textContent = `Copied ${vector.length} numbers`;
    say(`Copied ${vector.length} numbers`);
  } catch {
    byId("by-hand").hidden = false;
    byId("vector").value = text;
    byId("vector").select();
  }
}
