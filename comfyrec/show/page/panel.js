// One column more for a fake server: what it plays, its time, holds, sockets, its journal, what to save.

const PANEL_KEYS = [
  ["Space", "pause the server's time, let it go on"],
  [".", "one step of its time"],
  ["[ ]", "slower, faster"],
  ["h", "hold at the next event like the selected one"],
  ["r", "release what is held"],
  ["o", "hide or show the panel"],
];
const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 20, 100, "max"];
const EVENTS = ["status", "execution_start", "execution_cached", "executing", "progress", "progress_state", "executed", "execution_success", "execution_error", "execution_interrupted", "preview", "binary"];
const JOURNAL_KEPT = 2000, JOURNAL_SHOWN = 60;

class Panel {
  constructor(app) {
    this.app = app;
    this.box = make("aside");
    this.box.id = "panel";
    this.box.setAttribute("aria-label", "Fake server");
    document.body.append(this.box);
    document.documentElement.classList.add("with-panel");
    const toggle = button("panel", () => this.toggle());
    toggle.id = "panel-button";
    toggle.title = "hide or show the panel (o)";
    byId("buttons").prepend(toggle);
    this.note = make("p", "note");
    this.note.setAttribute("role", "status");
    this.box.append(this.playing(), this.time(), this.holds(), this.connections(), this.scenarios(), this.journal(), this.save(), this.note);
    this.entries = [];
    this.refresh();
    this.load();
    setInterval(() => { if (!document.hidden && !this.box.hidden) this.refresh(); }, 1000);
  }

  toggle() {
    this.box.hidden = !this.box.hidden;
    document.documentElement.classList.toggle("with-panel", !this.box.hidden);
    this.app.list.draw();
    this.app.redraw();
  }

  // What the server says to a request; its own words where it says no.
  async ask(method, path, body) {
    try {
      const answer = await fetch(".." + path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
      const said = await answer.json();
      if (!answer.ok) this.note.textContent = said.error;
      return answer.ok ? said : null;
    } catch (error) {
      this.note.textContent = `The server does not answer (${error.message}).`;
      return null;
    }
  }

  async act(method, path, body) {
    this.note.textContent = "";
    const said = await this.ask(method, path, body);
    if (said) await this.refresh();
    return said;
  }

  async refresh() {
    const state = await this.ask("GET", "/");
    if (!state) return;
    this.state = state;
    this.drawPlaying();
    this.drawTime();
    const [sockets, holds] = [await this.ask("GET", "/sockets?open=true"), await this.ask("GET", "/holds")];
    if (sockets) this.drawSockets(sockets.sockets);
    if (holds) this.drawHolds(holds);
    if (this.journalBox.open) await this.readJournal();
  }

  // --- what it plays ---

  playing() {
    this.chips = make("div", "chips");
    return section("Plays", this.chips);
  }

  drawPlaying() {
    const { cassette, scenarios } = this.state;
    const key = JSON.stringify([cassette, scenarios]);
    if (key === this.playedKey) return;
    this.playedKey = key;
    const parts = cassette ? [make("span", "chip", "cassette " + cassette)] : [];
    for (const [number, one] of scenarios.entries()) {
      const chip = make("span", "chip", one.title);
      if (scenarios.length > 1) chip.append(small("×", `play without ${one.name}`, () => this.play(scenarios.filter((_, other) => other !== number))));
      parts.push(chip);
    }
    if (!parts.length) parts.push(make("span", "chip", "success"));
    parts.push(small("reset", "forget everything, play what was played at the start", () => this.act("POST", "/reset", {})));
    this.chips.replaceChildren(...parts);
  }

  play(scenarios) {
    return this.act("PUT", "/scenarios", { scenarios: scenarios.map(({ name, params }) => ({ name, params })) });
  }

  // --- time ---

  time() {
    this.pauseButton = button("❚❚", () => this.pause());
    this.pauseButton.title = "pause, go on (space)";
    const step = button("▸❚", () => this.act("POST", "/time/step"));
    step.title = "one step (.)";
    step.setAttribute("aria-label", "one step of time");
    this.speed = make("select");
    this.speed.setAttribute("aria-label", "speed of time");
    for (const speed of SPEEDS) { const option = make("option", "", speed === "max" ? "max" : "× " + speed); option.value = speed; this.speed.append(option); }
    this.speed.addEventListener("change", () => this.setSpeed(this.speed.value));
    this.clock = make("span", "dim");
    const row = make("div", "row-of");
    row.append(this.pauseButton, step, this.speed, this.clock);
    return section("Time", row);
  }

  drawTime() {
    const { now_us, speed, next_us } = this.state.time;
    this.paused = speed === 0;
    this.pauseButton.textContent = this.paused ? "▶" : "❚❚";
    this.pauseButton.setAttribute("aria-label", this.paused ? "go on" : "pause");
    if (!this.paused && document.activeElement !== this.speed) {
      if (![...this.speed.options].some((option) => option.value === String(speed))) { const option = make("option", "", "× " + speed); option.value = speed; this.speed.append(option); }
      this.speed.value = String(speed);
    }
    const due = next_us === null ? "nothing is due" : `next in ${duration(Math.max(next_us - now_us, 0))}`;
    this.clock.textContent = `${duration(now_us)}${this.paused ? ", paused" : ""}; ${due}`;
  }

  pause() { return this.act("POST", this.paused ? "/time/resume" : "/time/pause"); }
  setSpeed(value) { return this.act("PUT", "/time/speed", { speed: value === "max" ? "max" : Number(value) }); }
  faster(step) {
    const now = SPEEDS.findIndex((speed) => String(speed) === this.speed.value);
    const next = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, (now < 0 ? 3 : now) + step))];
    return this.setSpeed(next);
  }

  // --- holds ---

  holds() {
    this.event = make("input");
    this.event.placeholder = "event";
    this.event.setAttribute("aria-label", "event to hold at");
    this.event.setAttribute("list", "panel-events");
    const list = make("datalist");
    list.id = "panel-events";
    for (const name of EVENTS) { const option = make("option"); option.value = name; list.append(option); }
    this.node = make("input");
    this.node.placeholder = "node";
    this.node.size = 4;
    this.node.setAttribute("aria-label", "node to hold at");
    const row = make("div", "row-of");
    row.append(this.event, this.node, button("hold", () => this.hold(this.event.value.trim(), this.node.value.trim())), list);
    for (const field of [this.event, this.node]) field.addEventListener("keydown", (event) => { if (event.key === "Enter") this.hold(this.event.value.trim(), this.node.value.trim()); });
    this.held = make("div", "chips");
    return section("Hold at an event", row, this.held);
  }

  hold(event, node) {
    if (!event) { this.note.textContent = "Name an event to hold at."; return null; }
    return this.act("POST", "/holds", { event, where: node ? { node } : {} });
  }

  drawHolds({ holds, held_at }) {
    const key = JSON.stringify([holds, held_at]);
    if (key === this.heldKey) return;
    this.heldKey = key;
    const parts = [];
    if (held_at) parts.push(make("b", "warn", `held at ${held_at}`), small("one frame", "let one more frame out", () => this.act("POST", "/step", { timeout_s: 2 })), small("release", "let it go on (r)", () => this.release()));
    for (const one of holds) if (!one.reached) { const chip = make("span", "chip", one.frame); chip.append(small("×", "drop this hold", () => this.act("DELETE", "/holds/" + one.id))); parts.push(chip); }
    this.held.replaceChildren(...parts);
  }

  release() { return this.act("POST", "/release"); }

  holdLikeSelected() {
    const { app } = this, { columns, strings } = app.data, row = app.selected;
    if (row < 0 || strings[columns.kind[row]] !== "message" || columns.side[row] !== 1) { app.say("choose a message of the server to hold at one like it"); return; }
    const type = strings[columns.type[row]];
    this.hold(type.startsWith("preview") ? "preview" : type, columns.node[row] >= 0 && !type.startsWith("preview") ? strings[columns.node[row]] : "");
  }

  // --- sockets ---

  connections() {
    this.sockets = make("div", "chips");
    return section("Sockets", this.sockets);
  }

  drawSockets(sockets) {
    const key = JSON.stringify(sockets.map((one) => [one.socket, one.client_id]));
    if (key === this.socketsKey) return;
    this.socketsKey = key;
    const chips = sockets.map((one) => {
      const chip = make("span", "chip", one.client_id || `socket ${one.socket}`);
      chip.append(small("cut", "cut it without a close frame", () => this.act("POST", "/sockets/drop", { socket: one.socket })), small("close", "close it with 1001", () => this.act("POST", "/sockets/drop", { socket: one.socket, code: 1001 })));
      return chip;
    });
    this.sockets.replaceChildren(...(chips.length ? chips : [make("span", "dim", "none is open")]));
  }

  // --- scenarios ---

  scenarios() {
    this.search = make("input");
    this.search.type = "search";
    this.search.placeholder = "search scenarios";
    this.search.setAttribute("aria-label", "search scenarios");
    this.search.addEventListener("input", () => this.drawList());
    this.listed = make("div", "scenarios");
    this.detail = make("div", "scenario");
    return section("Scenarios", this.search, this.listed, this.detail);
  }

  async load() {
    const said = await this.ask("GET", "/scenarios");
    this.all = said ? said.scenarios : [];
    this.drawList();
  }

  drawList() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (one) => words.every((word) => `${one.name} ${one.category} ${one.summary}`.toLowerCase().includes(word));
    const found = (this.all ?? []).filter(fits);
    this.listed.replaceChildren(...found.map((one) => {
      const row = button("", () => this.choose(one));
      row.append(make("b", "", one.name), make("span", "dim", " " + unmarked(one.summary)));
      return row;
    }), ...(found.length ? [] : [make("p", "dim", "none is like that")]));
  }

  choose(one) {
    const fields = Object.entries(one.parameters).map(([name, about]) => [name, about, fieldOf(name, about)]);
    const params = () => {
      const chosen = {};
      for (const [name, about, field] of fields) {
        const value = valueOf(field, about);
        if (value !== undefined && JSON.stringify(value) !== JSON.stringify(about.default)) chosen[name] = value;
      }
      return chosen;
    };
    const table = make("div", "fields");
    for (const [name, , field] of fields) { const label = make("label", "", name); label.append(field); table.append(label); }
    const play = async (others) => {
      try { await this.play([...others, { name: one.name, params: params() }]); } catch (error) { this.note.textContent = error.message; }
    };
    const row = make("div", "row-of");
    row.append(button("play", () => play([])), button("add to what plays", () => play(this.state?.scenarios ?? [])));
    this.detail.replaceChildren(make("b", "", one.name), make("p", "", unmarked(one.summary)), make("p", "dim", `A correct client: ${unmarked(one.correct)}.`), table, row);
    this.detail.scrollIntoView({ block: "nearest" });
  }

  // --- journal ---

  journal() {
    this.what = make("select");
    this.what.setAttribute("aria-label", "kind of entries");
    for (const kind of ["all", "request", "answer", "sent", "received", "held", "released", "fault", "closed", "cut", "left"]) { const option = make("option", "", kind); option.value = kind === "all" ? "" : kind; this.what.append(option); }
    this.journalSearch = make("input");
    this.journalSearch.type = "search";
    this.journalSearch.placeholder = "words";
    this.journalSearch.setAttribute("aria-label", "filter the journal");
    for (const field of [this.what, this.journalSearch]) field.addEventListener("input", () => this.drawJournal());
    this.lines = make("pre", "journal");
    const row = make("div", "row-of");
    row.append(this.what, this.journalSearch);
    this.journalBox = make("details");
    this.journalBox.append(make("summary", "", "Journal"), row, this.lines);
    this.journalBox.addEventListener("toggle", () => { if (this.journalBox.open) this.readJournal(); });
    return this.journalBox;
  }

  async readJournal() {
    const after = this.entries.at(-1)?.serial ?? -1;
    const said = await this.ask("GET", "/journal?after=" + after);
    if (!said?.entries.length) return;
    this.entries.push(...said.entries);
    this.entries.splice(0, Math.max(0, this.entries.length - JOURNAL_KEPT));
    this.drawJournal();
  }

  drawJournal() {
    const words = this.journalSearch.value.toLowerCase(), what = this.what.value;
    const found = this.entries.filter((one) => !what || one.what === what).map(entryInWords).filter((line) => line.toLowerCase().includes(words));
    this.lines.textContent = found.slice(-JOURNAL_SHOWN).join("\n") || "nothing";
    this.lines.scrollTop = this.lines.scrollHeight;
  }

  // --- to keep ---

  save() {
    const row = make("div", "row-of");
    for (const [href, words, title] of [["cassette.jsonl", "save as cassette", "what happened, to be replayed"], ["test_comfyui.py", "save as test", "a test of pytest that plays the same"]]) {
      const link = make("a", "button", words);
      link.href = href;
      link.download = href;
      link.title = title;
      row.append(link);
    }
    return section("Keep it", row);
  }

  key(event) {
    const actions = {
      " ": () => this.pause(), ".": () => this.act("POST", "/time/step"), "[": () => this.faster(-1), "]": () => this.faster(1),
      h: () => this.holdLikeSelected(), r: () => this.release(), o: () => this.toggle(),
    };
    const action = actions[event.key];
    if (action) { event.preventDefault(); action(); }
    return action !== undefined;
  }
}

// The catalogue's sentences are written for a page of text.
const unmarked = (words) => words.replaceAll("`", "");

function section(title, ...parts) {
  const box = make("section");
  box.append(make("h2", "", title), ...parts);
  return box;
}

function button(words, act) {
  const made = make("button", "", words);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function small(words, title, act) {
  const made = button(words, act);
  made.className = "small";
  made.title = title;
  if (words === "×") made.setAttribute("aria-label", title);
  return made;
}

// A field for a parameter, by its JSON Schema.
function fieldOf(name, about) {
  const kinds = about.anyOf ?? [about], words = kinds.flatMap((kind) => kind.enum ?? []);
  let field;
  if (about.type === "boolean") {
    field = make("input");
    field.type = "checkbox";
    field.checked = about.default === true;
    return field;
  }
  if (about.enum) {
    field = make("select");
    for (const word of about.enum) { const option = make("option", "", String(word)); option.value = JSON.stringify(word); field.append(option); }
    field.value = JSON.stringify(about.default);
    return field;
  }
  field = make("input");
  if (about.type === "integer" || about.type === "number") {
    field.type = "number";
    if (about.minimum !== undefined) field.min = about.minimum;
    if (about.maximum !== undefined) field.max = about.maximum;
    field.step = about.type === "integer" ? 1 : "any";
  }
  field.value = about.default === undefined || about.default === null ? "" : typeof about.default === "string" ? about.default : JSON.stringify(about.default);
  if (words.length) field.placeholder = words.join(", ");
  return field;
}

function valueOf(field, about) {
  if (field.type === "checkbox") return field.checked;
  if (field.tagName === "SELECT") return JSON.parse(field.value);
  const text = field.value.trim();
  if (text === "") return undefined;
  if (about.type === "string") return text;
  try { return JSON.parse(text); } catch { return text; }
}

function entryInWords(entry) {
  const at = (entry.t / 1e6).toFixed(3).padStart(9), number = entry.number ?? "";
  const text = (entry.text ?? "").slice(0, 200);
  switch (entry.what) {
    case "request": return `${at} → ${entry.method} ${entry.target}`;
    case "answer": return `${at} ← ${entry.status} ${text}`;
    case "upgrade": return `${at} → socket ${number} opens ${entry.target}`;
    case "received": return `${at} → socket ${number} ${text}`;
    case "sent": return `${at} ← socket ${entry.sockets.join(" ")} ${text || `(${entry.size_bytes} bytes)`}`;
    default: return `${at} ${entry.what} ${number >= 0 ? number : ""} ${text || (entry.code ?? "")}`;
  }
}
