// Lets a few requests at a time go to the service, and asks a full service again when it says that there will be room.

/** A browser opens six connections to a host; half of them stay free. */
const AT_ONCE = 3;
/** Where a full service does not say how long. */
const WAIT_S = 1;

let free = AT_ONCE;
const line = [];

/**
 * The answer of `ask()`, once it is its turn and the service is not full.
 *
 * `first` goes before all that wait; `onFull(seconds)` is called when the service is full, before the wait.
 */
export async function inTurn(ask, { signal, first = false, onFull = () => undefined } = {}) {
  if (free > 0) free--;
  else await new Promise((go) => line[first ? "unshift" : "push"](go));
  try {
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await ask();
      } catch (error) {
        if (error.status !== 429) throw error;
        const seconds = error.retryAfterS ?? WAIT_S;
        onFull(seconds);
        await pause(seconds, signal);
      }
    }
  } finally {
    const next = line.shift();
    if (next) next();
    else free++;
  }
}

function pause(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
