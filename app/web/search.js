// Finds the sounds that are nearest to words: cosines of bridged embeddings and the words' own, computed here.

import * as service from "./service.js";
import { inTurn } from "./turns.js";

/** The embedding of a sound, asked for once and kept in memory. */
export async function embeddingOf(sound, signal) {
  sound.embedding ??= await inTurn(() => service.embedding(sound.file, signal), { signal, first: true });
  return sound.embedding;
}

/** Give every sound its cosine to the words, or null where its embedding could not be had; returns the first error. */
export async function measure(sounds, words, signal, onProgress) {
  const query = await inTurn(() => service.textEmbedding(words, signal), { signal, first: true });
  let fault = null;
  let done = 0;
  const measured = await Promise.all(
    sounds.map(async (sound) => {
      let cosine = null;
      try {
        cosine = dot(await embeddingOf(sound, signal), query);
      } catch (error) {
        if (error.name === "AbortError") throw error;
        fault ??= error;
      }
      onProgress(++done);
      return cosine;
    }),
  );
  sounds.forEach((sound, index) => (sound.cosine = measured[index]));
  return fault;
}

/** A copy, nearest first; what has no cosine comes last, in its own order. */
export function nearestFirst(sounds) {
  return sounds.toSorted((one, other) => (other.cosine ?? -2) - (one.cosine ?? -2));
}

/** All embeddings have unit length, so this is their cosine. */
function dot(one, other) {
  return one.reduce((sum, value, index) => sum + value * other[index], 0);
}
