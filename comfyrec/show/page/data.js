// The data block: packed columns read once, payloads inflated when somebody looks at one.

const byId = (id) => document.getElementById(id);
const blockText = (id) => byId(id).textContent;

const ARRAYS = { d: Float64Array, f: Float32Array, I: Uint32Array, i: Int32Array, H: Uint16Array, B: Uint8Array };

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function readData() {
  const buffer = await inflate(blockText("columns"));
  const headSize = new DataView(buffer).getUint32(0, true);
  const data = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headSize)));
  let at = 4 + headSize;
  const columns = {};
  for (const [name, code, length] of data.columns) {
    columns[name] = new ARRAYS[code](buffer, at, length);
    at += Math.ceil(columns[name].byteLength / 8) * 8;
  }
  data.columns = columns;
  data.duration = Math.max(data.story.duration_us, 1);
  return data;
}

const blocks = new Map();  // block number -> promise of its payloads; a few of the latest
const BLOCKS_KEPT = 16;

async function payloadOf(row, data) {
  const number = Math.floor(row / data.block);
  let block = blocks.get(number);
  if (block === undefined) {
    block = inflate(blockText("b" + number)).then((buffer) => JSON.parse(new TextDecoder().decode(buffer)));
    blocks.set(number, block);
    if (blocks.size > BLOCKS_KEPT) blocks.delete(blocks.keys().next().value);
  }
  return (await block)[row % data.block];
}

// What the client knew after each row: the latest row of each sort on the same socket.
function knowledge(data) {
  const { socket, queue, prompt, picture, max, type } = data.columns;
  const executing = data.strings.indexOf("executing");
  const make = () => new Int32Array(data.rows).fill(-1);
  const known = { queue: make(), prompt: make(), node: make(), picture: make(), progress: make(), listener: make() };
  const states = new Map();
  let latest = -1;
  for (let row = 0; row < data.rows; row++) {
    const listener = socket[row] >= 0 ? socket[row] : latest;
    latest = listener;
    let state = states.get(listener);
    if (state === undefined) states.set(listener, state = { queue: -1, prompt: -1, node: -1, picture: -1, progress: -1 });
    if (socket[row] >= 0) {
      if (queue[row] >= 0) state.queue = row;
      if (prompt[row] >= 0 && prompt[row] !== state.promptNumber) {
        state.promptNumber = prompt[row];
        state.prompt = row;
        state.progress = state.node = -1;
      }
      if (type[row] === executing) state.node = row;
      if (picture[row] >= 0) state.picture = row;
      if (max[row] >= 0) state.progress = row;
    }
    known.queue[row] = state.queue;
    known.prompt[row] = state.prompt;
    known.node[row] = state.node;
    known.picture[row] = state.picture;
    known.progress[row] = state.progress;
    known.listener[row] = listener;
  }
  return known;
}

// --- words ---

function duration(us) {
  if (us === null || us === undefined) return "?";
  const size = Math.abs(us);
  if (size < 1000) return Math.round(us) + " µs";
  if (size < 999500) return digits(us / 1e3) + " ms";
  if (size < 119.5e6) return digits(us / 1e6) + " s";
  const minutes = Math.floor(us / 6e7);
  if (minutes < 120) return minutes + " min " + Math.round((us % 6e7) / 1e6) + " s";
  return Math.floor(minutes / 60) + " h " + (minutes % 60) + " min";
}
const digits = (value) => value.toFixed(Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2);

function bytes(size) {
  if (size < 1024) return size + " B";
  const kib = size / 1024;
  return kib < 1000 ? kib.toFixed(1) + " KiB" : (kib / 1024).toFixed(1) + " MiB";
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// The first index whose value is not below the wanted one.
function lowerBound(values, wanted, key = (value) => value) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(values[middle]) < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

// An element with a class and a text; recorded text goes in by textContent only.
function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== "") element.textContent = text;
  return element;
}
