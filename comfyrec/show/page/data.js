// The data: packed columns, which may grow; payloads inflated when somebody looks at one.

const byId = (id) => document.getElementById(id);
const blockText = (id) => byId(id).textContent;

const ARRAYS = { d: Float64Array, f: Float32Array, I: Uint32Array, i: Int32Array, H: Uint16Array, B: Uint8Array };

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

// A page in a file has its data in itself; a live one asks its server, and goes on asking.
const LIVE = byId("live") !== null;
const pictureUrl = (number) => (LIVE ? `picture?n=${number}` : blockText("p" + number));

async function readData() {
  const data = {
    rows: 0, block: 1, columns: {}, room: {}, strings: [], exchanges: [], gaps: [],
    story: { prompts: [] }, seen: {}, instance: "", over: !LIVE,
  };
  for (const name of Object.keys(ARRAYS)) data.room[name] = null;
  grow(data, LIVE ? await asked("rows") : await inflate(blockText("columns")));
  return data;
}

async function asked(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return answer.arrayBuffer();
}

// Whatever is new since `seen`, waiting for it for a while.
function news(data) {
  const query = new URLSearchParams({ ...data.seen, instance: data.instance, wait_s: "20" });
  return asked("rows?" + query);
}

// Put what came behind what is there; true: it is of another recording, so the page starts over.
function grow(data, buffer) {
  const headSize = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, headSize)));
  if (data.instance && head.instance !== data.instance) return true;
  let at = 4 + headSize;
  for (const [name, code, length] of head.columns) {
    const news = new ARRAYS[code](buffer, at, length);
    data.columns[name] = appended(data, name, news, ARRAYS[code]);
    at += Math.ceil(news.byteLength / 8) * 8;
  }
  const prompts = data.story.prompts;
  data.story = head.story;
  data.story.prompts = prompts;
  for (const prompt of head.prompts) prompts[prompt.number] = prompt;
  data.strings.push(...head.strings);
  data.gaps.push(...head.gaps);
  data.exchanges.push(...head.exchanges);
  if (head.exchanges.length) data.exchanges.sort((a, b) => a[0] - b[0]);
  for (const [row, prompt] of head.patches) data.columns.prompt[row] = prompt;
  const { name, rows, block, redacted, left_out, instance, over } = head;
  Object.assign(data, { name, rows, block, redacted, left_out, instance: instance ?? "", over: over ?? true });
  const [seenRows, strings, exchanges, gaps, patches, revision] = head.seen;
  data.seen = { rows: seenRows, strings, exchanges, gaps, patches, revision };
  data.duration = Math.max(data.story.duration_us, data.rows ? data.columns.t[data.rows - 1] : 0, 1);
  return false;
}

// A column has room for twice its rows, so that growing costs little.
function appended(data, name, news, Kind) {
  const before = data.rows, after = before + news.length;
  if (before === 0) { data.room[name] = news; return news; }
  let room = data.room[name];
  if (room.length < after) {
    const larger = new Kind(after * 2);
    larger.set(room.subarray(0, before));
    room = data.room[name] = larger;
  }
  room.set(news, before);
  return room.subarray(0, after);
}

const blocks = new Map();  // block number -> promise of its payloads; a few of the latest
const BLOCKS_KEPT = 16;

async function payloadOf(row, data) {
  const number = Math.floor(row / data.block), place = row % data.block;
  let block = blocks.get(number);
  if (block === undefined || (LIVE && (await block.catch(() => [])).length <= place)) {
    block = (LIVE ? asked("block?n=" + number) : inflate(blockText("b" + number))).then((buffer) => JSON.parse(new TextDecoder().decode(buffer)));
    blocks.set(number, block);
    if (blocks.size > BLOCKS_KEPT) blocks.delete(blocks.keys().next().value);
  }
  return (await block)[place] ?? null;
}

// What the client knew after each row: the latest row of each sort on the same socket.
const SORTS = ["queue", "prompt", "node", "picture", "progress", "listener"];

class Knowledge {
  constructor(data) {
    this.data = data;
    this.states = new Map();
    this.latest = -1;
    this.done = 0;
    for (const sort of SORTS) this[sort] = new Int32Array(0);
    this.extend();
  }

  extend() {
    const { data, states } = this, { socket, queue, prompt, picture, max, type } = data.columns;
    const executing = data.strings.indexOf("executing");
    if (this.queue.length < data.rows) {
      for (const sort of SORTS) { const larger = new Int32Array(LIVE ? data.rows * 2 : data.rows); larger.set(this[sort]); this[sort] = larger; }
    }
    for (let row = this.done; row < data.rows; row++) {
      const listener = socket[row] >= 0 ? socket[row] : this.latest;
      this.latest = listener;
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
      this.queue[row] = state.queue;
      this.prompt[row] = state.prompt;
      this.node[row] = state.node;
      this.picture[row] = state.picture;
      this.progress[row] = state.progress;
      this.listener[row] = listener;
    }
    this.done = data.rows;
  }
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

// A picture of the recording. One that the browser cannot draw, as it is cut or damaged, is told of once.
const undrawn = new Set();
function pictureOf(number, alt, whenUndrawn) {
  const image = make("img");
  image.alt = alt;
  image.addEventListener("error", () => { undrawn.add(number); whenUndrawn(image); });
  image.src = pictureUrl(number);
  return image;
}

// An element with a class and a text; recorded text goes in by textContent only.
function make(tag, name = "", text = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== "") element.textContent = text;
  return element;
}
