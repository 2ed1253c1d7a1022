// What the selected row says: decoded, as a tree, raw, as bytes, and what changed since the last one.

const TABS = { Decoded: "decoded", Tree: "tree", Raw: "raw", Hex: "hex", Changed: "changed" };
const HEX_MAX = 4096, TREE_MAX = 400;

class Inspector {
  constructor(app) {
    this.app = app;
    this.data = app.data;
    this.tab = "Decoded";
    this.shown = 0;
    this.buttons = Object.keys(TABS).map((name) => {
      const button = make("button", "", name);
      button.type = "button";
      button.role = "tab";
      button.setAttribute("aria-controls", "detail");
      button.addEventListener("click", () => this.choose(name));
      return button;
    });
    this.title = make("span", "title");
    this.copy = make("button", "", "copy");
    this.copy.type = "button";
    this.copy.addEventListener("click", () => this.copyText(this.text));
    this.other = make("button");
    this.other.type = "button";
    this.other.addEventListener("click", () => this.copyText(this.asCode));
    byId("tabs").append(...this.buttons);
    byId("about").append(this.title, this.copy, this.other);
    byId("tabs").addEventListener("keydown", (event) => this.moveTab(event));
  }

  choose(name) { this.tab = name; this.draw(); }

  // As tabs do: the arrows choose the next one, and one stop of the tab key is for all of them.
  moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const names = Object.keys(TABS), next = (names.indexOf(this.tab) + step + names.length) % names.length;
    this.choose(names[next]);
    this.buttons[next].focus();
  }

  async copyText(text) {
    let told = "copied";
    try { await navigator.clipboard.writeText(text); } catch {
      const area = make("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      if (!document.execCommand("copy")) told = "the browser does not allow copying";
      area.remove();
    }
    this.app.say(told);
  }

  async draw() {
    for (const button of this.buttons) {
      const chosen = button.textContent === this.tab;
      button.setAttribute("aria-selected", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
    const row = this.app.selected, turn = ++this.shown, box = byId("detail");
    if (row < 0) { this.title.textContent = ""; this.asCode = ""; this.text = ""; this.other.hidden = this.copy.hidden = true; box.replaceChildren(this.overall()); return; }
    const { conn, size, type } = this.data.columns;
    let payload;
    try { payload = await payloadOf(row, this.data); } catch (error) {
      box.replaceChildren(make("p", "dim", `${this.data.strings[this.data.columns.words[row]]}`), make("p", "warn", `What it says cannot be had: ${error.message}. 'comfyrec view FILE' shows the recording.`));
      return;
    }
    const content = await this[TABS[this.tab]](row, payload);
    if (turn !== this.shown) return;  // another row was chosen meanwhile
    this.title.textContent = `#${row + 1} · connection ${conn[row]} · ${bytes(size[row])}`;
    this.asCode = codeOf(this.data, row, payload);
    this.other.textContent = this.data.strings[this.data.columns.kind[row]] === "request" ? "as curl" : "as pytest";
    this.other.hidden = !this.asCode;
    this.copy.hidden = false;
    this.text = content.textContent;
    const findings = this.data.story.findings.filter((f) => f.at !== null && f.t_us === this.data.columns.t[row]);
    const picture = this.data.columns.picture[row];
    const parts = findings.map((finding) => make("p", "finding", finding.sentence));
    if (picture >= 0 && this.tab !== "Hex" && this.tab !== "Raw") {
      parts.push(this.picture(picture, `picture of ${this.data.strings[type[row]]}`));
    }
    box.replaceChildren(...parts, content);
    box.scrollTop = 0;
  }

  picture(number, alt) {
    const words = () => make("p", "dim", "This picture is cut or damaged, and cannot be drawn.");
    return undrawn.has(number) ? words() : pictureOf(number, alt, (image) => image.replaceWith(words()));
  }

  // Nothing is selected: what happened in all.
  overall() {
    const table = make("table");
    for (const prompt of this.data.story.prompts.slice(0, 50)) {
      const line = make("tr");
      line.append(
        make("td", "", prompt.id.slice(0, 8)),
        make("td", colorOf(prompt, this.data), outcomeOf(prompt, this.data)),
        make("td", "dim", prompt.failure ?? slowest(prompt)),
      );
      table.append(line);
    }
    return table;
  }

  decoded(row, payload) {
    const pre = make("pre"), value = jsonOf(payload);
    if (Array.isArray(payload) && payload[0] === 2) pre.append(make("span", "dim", payload[1] + "\n\n"));
    pre.append(value !== undefined ? JSON.stringify(value, null, 2) : plainText(payload, this.data.strings[this.data.columns.words[row]]));
    return pre;
  }

  tree(row, payload) {
    const value = jsonOf(payload);
    return value === undefined ? this.decoded(row, payload) : branch("", value, 0);
  }

  raw(row, payload) {
    const pre = make("pre");
    if (typeof payload === "string") pre.textContent = payload;
    else if (payload?.[0] === 2) pre.textContent = payload[1] + "\n\n" + (typeof payload[2] === "string" ? payload[2] : `(${payload[3]} bytes)`);
    else pre.textContent = plainText(payload, "");
    return pre;
  }

  hex(row, payload) {
    const data = bytesOf(payload, this.data.columns.picture[row]), lines = [];
    for (let at = 0; at < Math.min(data.length, HEX_MAX); at += 16) {
      const part = [...data.subarray(at, at + 16)];
      const left = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47);
      const right = part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
      lines.push(`${at.toString(16).padStart(6, "0")}  ${left}  ${right}`);
    }
    if (data.length > HEX_MAX) lines.push(`... ${data.length - HEX_MAX} more bytes`);
    return make("pre", "", lines.join("\n") || "no bytes");
  }

  // Against the row of the same type and socket before it.
  async changed(row, payload) {
    const { type, socket } = this.data.columns;
    let before = row - 1;
    while (before >= 0 && !(type[before] === type[row] && socket[before] === socket[row])) before--;
    const now = jsonOf(payload);
    if (before < 0 || now === undefined) return make("pre", "dim", before < 0 ? "nothing of this type came before" : "only JSON can be compared");
    const was = jsonOf(await payloadOf(before, this.data));
    const pre = make("pre");
    pre.append(make("span", "dim", `since #${before + 1}, ${duration(this.data.columns.t[row] - this.data.columns.t[before])} before\n\n`));
    const lines = [...differences(was, now, "")];
    if (!lines.length) pre.append("nothing");
    for (const [kind, words] of lines.slice(0, TREE_MAX)) pre.append(make("span", kind, (kind === "added" ? "+ " : "- ") + words + "\n"));
    return pre;
  }

  drawKnew() {
    const box = byId("knew"), row = this.app.selected;
    const heading = make("h2", "", "What the client knew");
    if (row < 0) { box.replaceChildren(heading, make("p", "dim", "Choose a frame.")); return; }
    const { columns, strings, story } = this.data, known = this.app.known, list = make("dl");
    const add = (name, value, kind = "") => list.append(make("dt", "", name), make("dd", kind, value));
    const at = (column) => known[column][row];
    add("time", duration(columns.t[row]));
    const listener = story.sockets[at("listener")];
    if (listener) add("client", listener.name);
    if (at("queue") >= 0) add("in the queue", String(columns.queue[at("queue")]));
    if (at("prompt") >= 0) add("prompt", story.prompts[columns.prompt[at("prompt")]].id.slice(0, 8));
    if (at("node") >= 0) add("running", columns.node[at("node")] < 0 ? "nothing" : strings[columns.words[at("node")]]);
    add("frames so far", String(row + 1));
    const prompt = story.prompts[columns.prompt[row]];
    if (prompt?.failure && columns.t[row] >= prompt.ended) add("error", prompt.failure, "bad");
    const parts = [heading, list];
    const progress = at("progress");
    if (progress >= 0 && columns.max[progress] > 0) {
      const bar = make("div", "bar"), filled = make("div");
      filled.style.width = Math.min(Math.max(columns.value[progress] / columns.max[progress], 0), 1) * 100 + "%";
      bar.append(filled);
      parts.push(make("p", "dim", strings[columns.words[progress]]), bar);
    }
    if (at("picture") >= 0) {
      parts.push(this.picture(columns.picture[at("picture")], "the last picture"));
    }
    box.replaceChildren(...parts);
  }
}

function slowest(prompt) {
  const ran = prompt.nodes.filter((node) => node[2] !== null && node[3] !== null).sort((a, b) => b[3] - b[2] - (a[3] - a[2]));
  return ran.slice(0, 3).map((node) => `${node[1]} ${duration(node[3] - node[2])}`).join(", ");
}

function jsonOf(payload) {
  const text = typeof payload === "string" ? payload : payload?.[0] === 2 && typeof payload[2] === "string" ? payload[2] : null;
  if (!text) return undefined;
  try { return JSON.parse(text); } catch { /* NaN, or a body that was cut */ }
  try { return JSON.parse(text.replace(/(?<=[[:,\s])(-?Infinity|NaN)(?=[\],}\s])/g, '"$1"')); } catch { return undefined; }
}

function plainText(payload, words) {
  if (payload === null) return words;
  if (typeof payload === "string") return payload;
  if (payload[0] === 2) return typeof payload[2] === "string" ? payload[2] : `${payload[3]} bytes`;
  return `${words ? words + ", " : ""}${payload[2]} bytes`;
}

function bytesOf(payload, picture) {
  const unpack = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  if (payload === null) return new Uint8Array();
  if (typeof payload === "string") return new TextEncoder().encode(payload);
  if (payload[0] === 2) {
    const head = new TextEncoder().encode(payload[1].replaceAll("\n", "\r\n") + "\r\n\r\n");
    const body = typeof payload[2] === "string" ? new TextEncoder().encode(payload[2]) : unpack(payload[2][1]);
    const all = new Uint8Array(head.length + body.length);
    all.set(head);
    all.set(body, head.length);
    return all;
  }
  return unpack(payload[1]);
}

// A JSON value as nested details; children are made when they are opened.
function branch(key, value, depth) {
  if (value === null || typeof value !== "object") {
    const leaf = make("div", "leaf");
    if (key !== "") leaf.append(make("span", "key", key), ": ");
    leaf.append(make("span", typeof value === "string" ? "text" : "figure", JSON.stringify(value)));
    return leaf;
  }
  const entries = Object.entries(value), details = make("details"), summary = make("summary");
  if (key !== "") summary.append(make("span", "key", key), ": ");
  summary.append(make("span", "dim", Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`));
  details.append(summary);
  const fill = () => {
    if (details.childElementCount > 1) return;
    for (const [name, item] of entries.slice(0, TREE_MAX)) details.append(branch(name, item, depth + 1));
    if (entries.length > TREE_MAX) details.append(make("div", "dim", `... ${entries.length - TREE_MAX} more`));
  };
  details.addEventListener("toggle", () => { if (details.open) fill(); });
  if (depth < 3) { fill(); details.open = true; }
  return details;
}

function* differences(was, now, path) {
  const plain = (value) => value === null || typeof value !== "object";
  if (plain(was) || plain(now) || Array.isArray(was) !== Array.isArray(now)) {
    if (JSON.stringify(was) === JSON.stringify(now)) return;
    if (was !== undefined) yield ["removed", `${path}: ${JSON.stringify(was)}`];
    if (now !== undefined) yield ["added", `${path}: ${JSON.stringify(now)}`];
    return;
  }
  for (const key of new Set([...Object.keys(was), ...Object.keys(now)])) yield* differences(was[key], now[key], path ? `${path}.${key}` : key);
}

const quoted = (text) => "'" + text.replaceAll("'", `'\\''`) + "'";

// A request as a curl command; a message from the server as a wait of comfyrec's pytest fixture.
function codeOf(data, row, payload) {
  const { columns, strings } = data, kind = strings[columns.kind[row]];
  if (kind === "request" && payload) {
    const [first, ...fields] = payload[1].split("\n"), [method, target] = first.split(" ");
    const host = fields.find((field) => /^host:/i.test(field))?.split(":").slice(1).join(":").trim() ?? "127.0.0.1:8188";
    const kept = fields.filter((field) => !/^(host|content-length|connection|accept-encoding|transfer-encoding):/i.test(field));
    const body = typeof payload[2] === "string" && payload[2] ? ` --data-binary ${quoted(payload[2])}` : "";
    return `curl -X ${quoted(method)} ${quoted("http://" + host + target)}${kept.map((field) => ` -H ${quoted(field)}`).join("")}${body}`;
  }
  if (kind !== "message" || columns.side[row] !== 1 || typeof payload !== "string") return "";
  const node = columns.node[row] >= 0 ? `, node=${JSON.stringify(strings[columns.node[row]])}` : "";
  return `comfyui.run_until(${JSON.stringify(strings[columns.type[row]])}${node})`;
}
