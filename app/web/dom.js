// What every part of the page needs: elements, old and new, numbers in words, and the line that screen readers speak.

export const byId = (id) => document.getElementById(id);

/** Have a screen reader say it when it is done with what it says now. */
export function say(text) {
  byId("status").textContent = text;
}

export function counted(count, noun = "sound") {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

export function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}
