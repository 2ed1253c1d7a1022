// The time line: an overview of all, and lanes for sockets, prompts, nodes and requests in a window.

const LANE = 22, AXIS = 20, FOLD_PX = 34, PROMPTS_SHOWN = 40, TICKS_MAX = 40000, REQUESTS_DRAWN = 600, TRACKS = 12, REQUEST_LABEL = 240;
const OUTCOME_MARK = { success: "✓", error: "✕", interrupted: "■", deleted: "–", "": "?" };
// Of a recording that grows, what has no end runs or waits.
const outcomeOf = (prompt, data) => prompt.outcome || (data.over ? "no end" : prompt.started === null && !prompt.nodes.length ? "waiting" : "running");
const colorOf = (prompt, data) => (prompt.outcome || data.over ? OUTCOME_COLOR[prompt.outcome] ?? "warn" : "node");
const markOf = (prompt, data) => (prompt.outcome || data.over ? OUTCOME_MARK[prompt.outcome] ?? "?" : "▸");
const OUTCOME_COLOR = { success: "good", error: "bad", interrupted: "warn", deleted: "wait", "": "warn" };
// Colors of bars that are too faint for text, and what says the same in text.
const TEXT_COLOR = { wait: "dim", node: "running" };

// Colors of the theme as a canvas takes them: the text of a variable is not resolved, a probe is.
function readColors() {
  const probe = make("i");
  document.body.append(probe);
  const colors = {};
  for (const name of ["bg", "panel", "line", "grid", "text", "dim", "accent", "chosen", "node", "running", "on-node", "wait", "good", "bad", "warn", "http", "client", "picture"]) {
    probe.style.color = `var(--${name})`;
    colors[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colors;
}

class Lanes {
  constructor(app) {
    this.app = app;
    this.data = app.data;
    this.canvas = byId("lanes");
    this.over = byId("overview");
    this.film = byId("film");
    this.scroll = 0;
    this.height = 0;
    this.foldIdle = true;
    this.hits = [];
    this.range = null;
    this.pictures = [];
    this.socketRows = [];
    this.done = 0;
    this.extend();
    this.listen();
  }

  // Take in rows and prompts that are new.
  extend() {
    const { story, columns, rows } = this.data;
    this.byStart = story.prompts
      .map((prompt, number) => ({ prompt, number, from: prompt.submitted ?? prompt.started ?? prompt.nodes[0]?.[2] ?? 0 }))
      .sort((a, b) => a.from - b.from);
    for (const one of this.byStart) {
      const open = LIVE && !one.prompt.outcome ? this.data.duration : one.from;
      one.to = one.prompt.ended ?? one.prompt.nodes.reduce((last, node) => Math.max(last, node[3] ?? 0), open);
    }
    while (this.socketRows.length < story.sockets.length) this.socketRows.push([]);
    for (let row = this.done; row < rows; row++) {
      if (columns.picture[row] >= 0) this.pictures.push(row);
      if (columns.socket[row] >= 0) this.socketRows[columns.socket[row]].push(row);
    }
    this.done = rows;
    this.film.hidden = this.pictures.length === 0;
    this.overviewKey = "";
  }

  get label() { return this.width < 600 ? 124 : 190; }

  // --- time <-> place ---

  layout() {
    const { from, to } = this.app.window;
    this.folds = [];
    if (this.foldIdle) {
      for (const [start, end] of this.data.gaps) {
        const a = Math.max(start, from), b = Math.min(end, to);
        if (b - a > (to - from) / 5) this.folds.push([a, b]);
      }
    }
    const idle = this.folds.reduce((sum, [a, b]) => sum + b - a, 0);
    const room = this.width - this.label - 12 - FOLD_PX * this.folds.length;
    this.scale = Math.max(room, 50) / Math.max(to - from - idle, 1);
  }

  x(t) {
    let px = this.label + (t - this.app.window.from) * this.scale;
    for (const [a, b] of this.folds) {
      if (t >= b) px += FOLD_PX - (b - a) * this.scale;
      else if (t > a) px += ((t - a) / (b - a)) * FOLD_PX - (t - a) * this.scale;
    }
    return px;
  }

  time(px) {
    let left = px - this.label, t = this.app.window.from;
    for (const [a, b] of this.folds) {
      const before = (a - t) * this.scale;
      if (left < before) return t + left / this.scale;
      left -= before;
      if (left < FOLD_PX) return a + (left / FOLD_PX) * (b - a);
      left -= FOLD_PX;
      t = b;
    }
    return t + left / this.scale;
  }

  // --- which lanes there are now ---

  lanes() {
    const { from, to } = this.app.window, { story } = this.data;
    const found = [];
    const sockets = story.sockets.filter((s) => s.opened_us <= to && (s.closed_us ?? Infinity) >= from);
    if (sockets.length > PROMPTS_SHOWN) found.push({ kind: "sockets", sockets });
    else for (const socket of sockets) found.push({ kind: "socket", socket });
    const shown = this.byStart.slice(0, lowerBound(this.byStart, to + 1, (one) => one.from)).filter((one) => one.to >= from || one.from >= from);
    if (shown.length > PROMPTS_SHOWN) found.push({ kind: "prompts", shown });
    else for (const one of shown) {
      found.push({ kind: "prompt", ...one });
      for (const node of one.prompt.nodes) found.push({ kind: "node", node, ...one });
    }
    const asked = this.requestsIn(from, to);
    if (asked.length > REQUESTS_DRAWN) found.push({ kind: "requests", asked });
    else for (const [track, requests] of this.tracks(asked).entries()) found.push({ kind: "track", track, requests });
    return found;
  }

  requestsIn(from, to) {
    const all = this.data.exchanges;
    return all.slice(0, lowerBound(all, to + 1, (e) => e[0])).filter((e) => e[1] >= from);
  }

  // Requests packed into few tracks, so that neither bars nor labels overlap. In the last track, which
  // takes all that is left over, bars may touch, and a label that has no room is left out.
  tracks(asked) {
    const tracks = [], ends = [];
    for (const request of asked) {
      const { bad, words } = wordsOf(request);
      const left = Math.max(this.x(request[0]), this.label), right = Math.max(this.x(request[1]), left + 2);
      let label = this.beside(left, right, this.cut(words, REQUEST_LABEL), request[3]);
      const start = label ? Math.min(left, label[1]) : left;
      let end = label ? Math.max(right, label[1] + this.text(label[0])) : right;
      let track = ends.findIndex((last) => last + 8 < start);
      if (track < 0 && ends.length < TRACKS) track = ends.push(0) - 1;
      else if (track < 0) { track = TRACKS - 1; if (start < ends[track] + 8) { label = null; end = right; } }
      ends[track] = Math.max(ends[track], end);
      (tracks[track] ??= []).push({ request, bad, label, left, right });
    }
    const crowded = tracks[TRACKS - 1] ?? [];
    for (const one of crowded) {
      if (!one.label) continue;
      const from = one.label[1] - 4, to = one.label[1] + this.text(one.label[0]) + 4;
      if (crowded.some((other) => other !== one && other.left < to && other.right > from)) one.label = null;
    }
    return tracks;
  }

  text(words) { return this.ink.measureText(words).width; }

  // [words, place] of the first of these wordings that has room behind a bar, or else before it: not
  // over the edge, and not under a fold. Null: none has.
  beside(left, right, ...wordings) {
    const folds = this.folds.map(([a, b]) => [this.x(a), this.x(b)]);
    const until = folds.find(([a]) => a >= right - 1)?.[0] ?? this.width;
    const from = folds.findLast(([, b]) => b <= left + 1)?.[1] ?? this.label;
    for (const words of wordings) {
      const wide = this.text(words);
      if (right + 5 + wide <= until - 4) return [words, right + 5];
      if (left - 5 - wide >= from + 4) return [words, left - 5 - wide];
    }
    return null;
  }

  // --- drawing ---

  draw() {
    const colors = this.app.colors;
    this.width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    this.ink = sized(this.canvas, this.width, height);
    this.ink.font = "12px " + this.app.font;
    this.layout();
    const ink = this.ink, lanes = this.lanes();
    this.height = lanes.length * LANE + AXIS;
    this.scroll = Math.max(0, Math.min(this.scroll, this.height - height));
    this.hits = [];
    ink.fillStyle = colors.bg;
    ink.fillRect(0, 0, this.width, height);
    this.drawGrid(height);
    for (const [number, lane] of lanes.entries()) {
      const y = AXIS + number * LANE - this.scroll;
      if (y > height || y < AXIS - LANE) continue;
      this.hits.push({ y, lane });
      if (lane.kind === "prompt") { ink.fillStyle = colors.panel; ink.fillRect(0, y, this.width, LANE); }
      ink.save();
      ink.beginPath();
      ink.rect(this.label - 2, y, this.width - this.label + 2, LANE);
      ink.clip();
      this["draw_" + lane.kind](lane, y);
      ink.restore();
      this.drawLabel(lane, y);
      ink.fillStyle = colors.grid;
      ink.fillRect(0, y + LANE - 1, this.width, 1);
    }
    this.drawFolds(height);
    this.drawAxis();
    this.drawFlags();
    this.drawCursor(height);
    this.drawOverview();
    this.drawFilm();
  }

  drawGrid(height) {
    const ink = this.ink;
    this.marks = [];
    const { from, to } = this.app.window;
    const step = niceStep(110 / this.scale);
    ink.fillStyle = this.app.colors.grid;
    let last = -Infinity;
    for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
      const folded = this.folds.find(([a, b]) => t > a && t < b);
      if (folded) { t = Math.floor(folded[1] / step) * step; continue; }
      const px = this.x(t);
      if (px - last < 60 || px > this.width) continue;
      last = px;
      this.marks.push([px, t, step]);
      ink.fillRect(Math.round(px), 0, 1, height);
    }
    ink.fillRect(this.label - 3, AXIS, 1, height);
  }

  drawAxis() {
    const ink = this.ink, colors = this.app.colors;
    ink.fillStyle = colors.bg;
    ink.fillRect(0, 0, this.width, AXIS);
    ink.fillStyle = colors.dim;
    ink.font = "11px " + this.app.font;
    for (const [px, t, step] of this.marks) {
      const words = axisWords(t, step);
      if (px + 3 + ink.measureText(words).width < this.width) ink.fillText(words, px + 3, 14);
    }
    ink.fillStyle = colors.line;
    ink.fillRect(0, AXIS - 1, this.width, 1);
    ink.font = "12px " + this.app.font;
  }

  drawFolds(height) {
    const ink = this.ink, colors = this.app.colors;
    for (const [a, b] of this.folds) {
      const px = this.x(a), width = this.x(b) - px;
      ink.fillStyle = colors.panel;
      ink.fillRect(px, AXIS, width, height);
      ink.strokeStyle = colors.line;
      ink.beginPath();
      for (const edge of [px, px + width]) {
        for (let y = AXIS; y < height; y += 8) { ink.lineTo(edge + (((y - AXIS) / 8) % 2 ? 3 : -3), y); }
        ink.moveTo(px + width, AXIS);
      }
      ink.stroke();
      ink.save();
      ink.translate(px + width / 2 + 4, AXIS + (height - AXIS) / 2);
      ink.rotate(-Math.PI / 2);
      ink.fillStyle = colors.dim;
      ink.textAlign = "center";
      ink.fillText(duration(b - a) + " nothing", 0, 0);
      ink.restore();
    }
  }

  drawFlags() {
    const ink = this.ink, { from, to } = this.app.window;
    let last = -Infinity;
    for (const finding of this.data.story.findings) {
      if (finding.t_us === null || finding.t_us < from || finding.t_us > to) continue;
      const px = this.x(finding.t_us);
      if (px - last < 5) continue;
      last = px;
      ink.fillStyle = this.app.colors[finding.severity === "breaks" ? "bad" : "warn"];
      ink.beginPath();
      ink.moveTo(px - 4, 0); ink.lineTo(px + 4, 0); ink.lineTo(px, 8);
      ink.fill();
    }
  }

  drawCursor(height) {
    const ink = this.ink;
    if (this.range) {
      const [a, b] = this.range.map((t) => this.x(t)).sort((p, q) => p - q);
      ink.globalAlpha = 0.15;
      ink.fillStyle = this.app.colors.accent;
      ink.fillRect(a, AXIS, b - a, height);
      ink.globalAlpha = 1;
    }
    if (this.app.selected < 0) return;
    const px = this.x(this.data.columns.t[this.app.selected]);
    if (px < this.label - 2 || px > this.width) return;
    ink.fillStyle = this.app.colors.accent;
    ink.fillRect(px - 0.75, 0, 1.5, height);
  }

  drawLabel(lane, y) {
    const ink = this.ink, colors = this.app.colors;
    const [words, color, bold, shorter] = this.labelOf(lane);
    ink.fillStyle = colors[color];
    ink.font = (bold ? "600 " : "") + "12px " + this.app.font;
    const room = this.label - 14;
    ink.fillText(this.cut(shorter && this.text(words) > room && this.width < 600 ? shorter : words, room), 8, y + 15);
    ink.font = "12px " + this.app.font;
  }

  labelOf(lane) {
    switch (lane.kind) {
      case "socket": return ["⇄ " + lane.socket.name, "dim"];
      case "sockets": return [lane.sockets.length + " sockets", "dim"];
      case "prompt": {
        const name = markOf(lane.prompt, this.data) + " " + lane.prompt.id.slice(0, 8);
        return [name + (lane.prompt.client ? " · " + lane.prompt.client : ""), "text", true, name];
      }
      case "prompts": return [lane.shown.length + " prompts", "text", true];
      case "node": return ["   " + lane.node[1], "dim"];
      case "track": return [lane.track === 0 ? "HTTP" : "", "dim"];
      default: return [lane.asked.length + " requests", "dim"];
    }
  }

  cut(words, room) {
    if (this.text(words) <= room) return words;
    let low = 0, high = words.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.text(words.slice(0, middle) + "…") <= room) low = middle; else high = middle - 1;
    }
    return words.slice(0, low) + "…";
  }

  // At most one tick for each pixel and class; the bad ones last, on top.
  draw_socket({ socket }, y) {
    const ink = this.ink, colors = this.app.colors, { from, to } = this.app.window;
    const { t, side, severity, picture } = this.data.columns;
    ink.fillStyle = colors.line;
    const start = this.x(Math.max(socket.opened_us, from)), end = this.x(Math.min(socket.closed_us ?? to, to));
    ink.fillRect(start, y + LANE / 2 - 1, Math.max(end - start, 1), 2);
    const rows = this.socketRows[socket.number];
    const first = lowerBound(rows, from, (row) => t[row]);
    const classes = { node: new Set(), client: new Set(), picture: new Set(), good: new Set(), bad: new Set() };
    for (let place = first; place < rows.length && t[rows[place]] <= to; place++) {
      const row = rows[place];
      const kind = severity[row] === 3 ? "bad" : severity[row] === 1 ? "good" : picture[row] >= 0 ? "picture" : side[row] === 0 ? "client" : "node";
      classes[kind].add(Math.round(this.x(t[row])));
    }
    for (const [kind, places] of Object.entries(classes)) {
      ink.fillStyle = colors[kind];
      const tall = kind === "bad" || kind === "good" ? 2 : 5;
      for (const px of places) ink.fillRect(px - (tall === 2 ? 1 : 0.5), y + tall, tall === 2 ? 2 : 1, LANE - 2 * tall - 1);
    }
    if (socket.closed_us !== null && !socket.clean && socket.closed_us <= to) {
      ink.fillStyle = colors.bad;
      ink.fillText("✕", this.x(socket.closed_us) - 4, y + 15);
    }
  }

  draw_sockets({ sockets }, y) {
    this.density(sockets.map((s) => [s.opened_us, s.clean ? "node" : "bad"]), y);
  }

  draw_prompts({ shown }, y) {
    this.density(shown.map((one) => [one.to, OUTCOME_COLOR[one.prompt.outcome]]), y);
  }

  draw_requests({ asked }, y) {
    this.density(asked.map((e) => [e[0], e[2] >= 400 || e[2] === 0 ? "bad" : "http"]), y);
  }

  density(ticks, y) {
    const places = new Map();
    for (const [t, color] of ticks) {
      const px = Math.round(this.x(t));
      if (color === "bad" || !places.has(px)) places.set(px, color);
    }
    for (const [px, color] of places) {
      this.ink.fillStyle = this.app.colors[color];
      this.ink.fillRect(px, y + 4, 1, LANE - 9);
    }
  }

  draw_prompt({ prompt }, y) {
    const ink = this.ink, colors = this.app.colors, end = this.app.window.to;
    const run = prompt.started ?? prompt.nodes[0]?.[2] ?? null;
    if (prompt.submitted !== null) {
      const until = run ?? prompt.ended ?? this.data.duration;
      this.bar(prompt.submitted, until, y + 8, 6, colors.wait);
    }
    if (run !== null) this.bar(run, prompt.ended ?? end, y + 8, 6, colors[colorOf(prompt, this.data)]);
    const color = colorOf(prompt, this.data);
    const first = Math.max(this.x(prompt.submitted ?? run ?? 0), this.label);
    const last = Math.max(this.x(prompt.ended ?? (run === null ? this.data.duration : end)), this.label);
    const outcome = outcomeOf(prompt, this.data);
    const took = outcome + (run !== null && prompt.ended !== null ? " " + duration(prompt.ended - run) : "");
    let label = this.beside(first, last, took, outcome);
    if (!label) {  // the bar fills the window: on it, then
      label = [took, first + 10];
      ink.fillStyle = colors.panel;
      ink.fillRect(label[1] - 4, y + 2, this.text(took) + 8, LANE - 4);
    }
    const why = prompt.outcome === "error" && prompt.failure && label[0] === took && label[1] > last ? took + " · " + prompt.failure.trim() : "";
    const room = Math.min(this.width, ...this.folds.map(([a]) => this.x(a)).filter((px) => px >= last - 1)) - label[1] - 4;
    ink.fillStyle = colors[TEXT_COLOR[color] ?? color];
    ink.fillText(why ? this.cut(why, room) : label[0], label[1], y + 15);
  }

  draw_node({ node, number }, y) {
    const [id, , start, end, cached, value, max] = node;
    const ink = this.ink, colors = this.app.colors;
    if (cached) {
      const prompt = this.data.story.prompts[number];
      const px = Math.max(this.x(prompt.started ?? prompt.submitted ?? 0), this.label) + 4;
      const words = "cached";
      ink.fillStyle = colors.dim;
      ink.fillText(words, Math.min(px, this.width - this.text(words) - 6), y + 15);
      return;
    }
    if (start === null) return;
    const [px, width] = this.bar(start, end ?? this.app.window.to, y + 3, LANE - 7, colors[this.data.story.prompts[number].failed === id ? "bad" : "node"]);
    this.steps(id, number, start, end, y);
    const words = (end === null ? "running" : duration(end - start)) + (max > 1 ? `  ${value}/${max}` : "");
    const left = Math.max(px, this.label), fold = this.folds.find(([a]) => this.x(a) > left);
    const plain = Math.min(px + width, this.width, fold ? this.x(fold[0]) : Infinity) - left;
    if (plain > this.text(words) + 12) {
      ink.fillStyle = colors["on-node"];
      ink.fillText(words, left + 6, y + 14);
      return;
    }
    const label = width ? this.beside(left, Math.max(px + width, this.label), words) : null;
    if (!label) return;
    ink.fillStyle = colors.dim;
    ink.fillText(label[0], label[1], y + 15);
  }

  // Ticks where the node moved its progress, and where it showed a picture.
  steps(id, number, start, end, y) {
    const { t, node, prompt, value, picture } = this.data.columns, { from, to } = this.app.window;
    const first = lowerBound(t, Math.max(start, from)), last = lowerBound(t, Math.min(end ?? to, to) + 1);
    if (last - first > TICKS_MAX) return;
    const name = this.data.strings.indexOf(id);
    for (let row = first; row < last; row++) {
      if (prompt[row] !== number) continue;
      const step = value[row] >= 0 && node[row] === name;
      if (!step && picture[row] < 0) continue;
      this.ink.fillStyle = this.app.colors[step ? "on-node" : "picture"];
      this.ink.fillRect(this.x(t[row]) - 0.5, y + (step ? 16 : 3), 1, 2);
    }
  }

  draw_track({ requests }, y) {
    const ink = this.ink, colors = this.app.colors;
    for (const { request, bad, label } of requests) {
      this.bar(request[0], request[1], y + 6, LANE - 13, colors[bad ? "bad" : "http"]);
      if (!label) continue;
      ink.fillStyle = colors[bad ? "bad" : "dim"];
      ink.fillText(label[0], label[1], y + 15);
    }
  }

  bar(from, to, y, height, color) {
    const px = Math.max(this.x(from), this.label - 4), end = Math.min(this.x(to), this.width + 4);
    const width = Math.max(end - px, 2);
    if (end < this.label - 4 || px > this.width) return [px, 0];
    this.ink.fillStyle = color;
    this.ink.beginPath();
    this.ink.roundRect(px, y, width, height, Math.min(3, width / 2));
    this.ink.fill();
    return [px, width];
  }

  // --- overview and film strip ---

  drawOverview() {
    const width = this.over.clientWidth, height = this.over.clientHeight, colors = this.app.colors;
    const key = width + colors.bg;
    if (this.overviewKey !== key) { this.overviewKey = key; this.overviewPicture = this.densityPicture(width, height); }
    const ink = sized(this.over, width, height);
    ink.fillStyle = colors.panel;
    ink.fillRect(0, 0, width, height);
    ink.drawImage(this.overviewPicture, 0, 0, width, height);
    const a = (this.app.window.from / this.data.duration) * width, b = (this.app.window.to / this.data.duration) * width;
    ink.fillStyle = colors.accent;
    ink.globalAlpha = 0.12;
    ink.fillRect(a, 0, Math.max(b - a, 2), height);
    ink.globalAlpha = 1;
    ink.strokeStyle = colors.accent;
    ink.strokeRect(a + 0.5, 0.5, Math.max(b - a - 1, 2), height - 1);
  }

  densityPicture(width, height) {
    const picture = document.createElement("canvas");
    const ink = sized(picture, width, height), colors = this.app.colors;
    const all = new Float64Array(width + 1), bad = new Uint8Array(width + 1);
    const { t, severity } = this.data.columns;
    for (let row = 0; row < this.data.rows; row++) {
      const px = Math.max(0, Math.min(width, Math.round((t[row] / this.data.duration) * width)));
      all[px]++;
      if (severity[row] === 3) bad[px] = 1;
    }
    for (const finding of this.data.story.findings) {
      if (finding.t_us !== null) bad[Math.min(width, Math.round((finding.t_us / this.data.duration) * width))] = 1;
    }
    const most = Math.log1p(all.reduce((a, b) => Math.max(a, b), 1));
    for (let px = 0; px <= width; px++) {
      if (all[px]) {
        const tall = (Math.log1p(all[px]) / most) * (height - 6) + 2;
        ink.fillStyle = colors.node;
        ink.fillRect(px, height - tall, 1, tall);
      }
      if (bad[px]) { ink.fillStyle = colors.bad; ink.fillRect(px - 1, 0, 3, 7); }
    }
    return picture;
  }

  drawFilm() {
    if (this.film.hidden) return;
    const { t, picture } = this.data.columns, { from, to } = this.app.window;
    const wanted = [];
    let last = -Infinity;
    for (let place = lowerBound(this.pictures, from, (row) => t[row]); place < this.pictures.length && t[this.pictures[place]] <= to; place++) {
      const row = this.pictures[place], px = this.x(t[row]);
      if (undrawn.has(picture[row]) || (px - last < 66 && row !== this.app.selected)) continue;
      last = px;
      wanted.push([row, px]);
    }
    this.frames ??= new Map();
    const kept = new Set(wanted.map(([row]) => row));
    for (const [row, image] of this.frames) if (!kept.has(row)) { image.remove(); this.frames.delete(row); }
    for (const [row, px] of wanted) {
      let image = this.frames.get(row);
      if (image === undefined) {
        image = pictureOf(picture[row], "", () => this.app.redraw());
        image.addEventListener("click", () => this.app.select(row));
        this.frames.set(row, image);
        this.film.append(image);
      }
      image.style.left = Math.max(this.label - 30, Math.min(px - 30, this.width - 62)) + "px";
      image.className = row === this.app.selected ? "chosen" : "";
    }
  }

  // --- hands ---

  listen() {
    const canvas = this.canvas;
    let drag = null, pinch = null;
    const fingers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      if (fingers.size === 2) { const [a, b] = [...fingers.values()]; pinch = { span: Math.abs(a.offsetX - b.offsetX) + 1, window: { ...this.app.window }, middle: this.time((a.offsetX + b.offsetX) / 2) }; drag = null; return; }
      drag = { x: event.offsetX, y: event.offsetY, window: { ...this.app.window }, scroll: this.scroll, moved: false, select: event.shiftKey, t: this.time(event.offsetX), scale: this.scale };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event);
      if (pinch && fingers.size === 2) {
        const [a, b] = [...fingers.values()], factor = pinch.span / (Math.abs(a.offsetX - b.offsetX) + 1);
        this.app.setWindow(pinch.middle - (pinch.middle - pinch.window.from) * factor, pinch.middle + (pinch.window.to - pinch.middle) * factor);
        return;
      }
      if (!drag) return;
      const dx = event.offsetX - drag.x, dy = event.offsetY - drag.y;
      if (Math.abs(dx) + Math.abs(dy) > 4) drag.moved = true;
      if (!drag.moved) return;
      if (drag.select) return this.setRange(drag.t, this.time(event.offsetX));
      canvas.classList.add("dragging");
      this.scroll = drag.scroll - dy;
      this.app.setWindow(drag.window.from - dx / drag.scale, drag.window.to - dx / drag.scale);
    });
    const up = (event) => {
      fingers.delete(event.pointerId);
      canvas.classList.remove("dragging");
      if (fingers.size < 2) pinch = null;
      if (drag && !drag.moved && event.type === "pointerup") this.clicked(drag.x, drag.y);
      drag = null;
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey || event.altKey) this.app.zoom(Math.exp(event.deltaY / 250), this.time(event.offsetX));
      else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const step = ((event.deltaX || event.deltaY) / Math.max(this.scale, 1e-9)) ;
        this.app.setWindow(this.app.window.from + step, this.app.window.to + step);
      } else if (this.height > canvas.clientHeight) { this.scroll += event.deltaY; this.app.redraw(); }
      else this.app.zoom(Math.exp(event.deltaY / 250), this.time(event.offsetX));
    }, { passive: false });
    canvas.addEventListener("dblclick", (event) => this.zoomTo(event.offsetY));
    const choose = (event) => {
      const t = (event.offsetX / this.over.clientWidth) * this.data.duration;
      if (this.grabbed === undefined) return;
      if (Math.abs(event.offsetX - this.grabbed.x) > 4) this.app.setWindow(Math.min(this.grabbed.t, t), Math.max(this.grabbed.t, t));
      else { const half = (this.app.window.to - this.app.window.from) / 2; this.app.setWindow(t - half, t + half); }
    };
    this.over.addEventListener("pointerdown", (event) => {
      this.over.setPointerCapture(event.pointerId);
      this.grabbed = { x: event.offsetX, t: (event.offsetX / this.over.clientWidth) * this.data.duration };
      choose(event);
    });
    this.over.addEventListener("pointermove", (event) => { if (event.buttons) choose(event); });
    this.over.addEventListener("pointerup", () => { this.grabbed = undefined; });
    this.over.addEventListener("dblclick", () => this.app.fit());
  }

  laneAt(y) { return this.hits.find((hit) => y >= hit.y && y < hit.y + LANE)?.lane; }

  clicked(px, y) {
    const lane = this.laneAt(y), t = this.time(px), { columns } = this.data;
    this.setRange(null);
    if (lane?.kind === "track") {
      const near = lane.requests.map((one) => one.request).reduce((best, e) => (Math.abs(e[0] - t) < Math.abs(best[0] - t) ? e : best));
      if (near[5] >= 0) return this.app.select(near[5]);
    }
    const rows = lane?.kind === "socket" ? this.socketRows[lane.socket.number] : null;
    const wanted = lane?.kind === "node" && lane.node[2] !== null && px < this.label ? lane.node[2] : t;
    if (rows?.length) return this.app.select(nearest(rows, wanted, (row) => columns.t[row]));
    if (this.data.rows) this.app.select(nearestRow(columns.t, wanted));
  }

  zoomTo(y) {
    const lane = this.laneAt(y);
    if (lane?.kind === "node" && lane.node[2] !== null) this.app.around(lane.node[2], lane.node[3] ?? this.data.duration);
    else if (lane?.kind === "prompt") this.app.around(lane.from, lane.to);
  }

  setRange(a, b) {
    this.range = a === null ? null : [a, b];
    const words = byId("range");
    words.hidden = a === null;
    if (a !== null) {
      const [from, to] = [Math.min(a, b), Math.max(a, b)], { t } = this.data.columns;
      const rows = lowerBound(t, to) - lowerBound(t, from);
      words.textContent = `${duration(to - from)} · ${plural(rows, "frame")} · from ${duration(from)} to ${duration(to)}`;
    }
    this.app.redraw();
  }
}

// What a request is called, and whether it went wrong.
function wordsOf([, , status, method, path]) {
  const bad = status >= 400 || status === 0;
  return { bad, words: (bad && status ? status + " " : "") + method + " " + path };
}

function nearest(rows, wanted, key) {
  const place = lowerBound(rows, wanted, key);
  const before = rows[Math.max(place - 1, 0)], after = rows[Math.min(place, rows.length - 1)];
  return Math.abs(key(before) - wanted) <= Math.abs(key(after) - wanted) ? before : after;
}
function nearestRow(t, wanted) {
  const place = lowerBound(t, wanted), before = Math.max(place - 1, 0), after = Math.min(place, t.length - 1);
  return Math.abs(t[before] - wanted) <= Math.abs(t[after] - wanted) ? before : after;
}

function sized(canvas, width, height) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const ink = canvas.getContext("2d");
  ink.setTransform(ratio, 0, 0, ratio, 0, 0);
  return ink;
}

const MINUTE = 6e7, LONG_STEPS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 720, 1440].map((minutes) => minutes * MINUTE);

function niceStep(least) {
  if (least > 2e7) return LONG_STEPS.find((step) => step >= least) ?? Math.ceil(least / (1440 * MINUTE)) * 1440 * MINUTE;
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  for (const factor of [1, 2, 5, 10]) if (power * factor >= least) return power * factor;
  return power * 10;
}

function axisWords(t, step) {
  if (step >= MINUTE && t >= 60 * MINUTE) return `${Math.floor(t / (60 * MINUTE))}:${String(Math.floor(t / MINUTE) % 60).padStart(2, "0")} h`;
  if (step >= 1e6) return t >= 12e7 ? duration(t) : (t / 1e6).toFixed(0) + " s";
  if (step >= 1e3) return t >= 1e6 ? (t / 1e6).toFixed(step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3) + " s" : (t / 1e3).toFixed(0) + " ms";
  return (t / 1e3).toFixed(step >= 100 ? 1 : 3) + " ms";
}
