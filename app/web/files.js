// The files of a drop, those in its folders too.

const SOUND = /\.(wav|flac|ogg|mp3)$/i;

/** Every file that was dropped; of a folder those that are sounds by their names, hidden ones left out. */
export async function filesOf(transfer) {
  // Before the first await: the browser empties the transfer when its event is over.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const files = [...transfer.files];
  if (!entries.some((entry) => entry?.isDirectory)) return files;
  const found = await Promise.all(entries.map((entry) => (entry?.isDirectory ? soundsIn(entry) : fileOf(entry))));
  return found.flat();
}

async function soundsIn(folder) {
  const entries = (await listing(folder)).toSorted((one, other) => one.name.localeCompare(other.name));
  const found = entries
    .filter(({ name }) => !name.startsWith("."))
    .map((entry) => (entry.isDirectory ? soundsIn(entry) : SOUND.test(entry.name) ? fileOf(entry) : []));
  return (await Promise.all(found)).flat();
}

/** A reader gives a folder by a hundred entries, and none at its end. */
async function listing(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function fileOf(entry) {
  return entry ? [await new Promise((resolve, reject) => entry.file(resolve, reject))] : [];
}
