// The page: one window of time and one selected row, shared by all panes; keys; the link to a moment.

const KEYS = [
  ["← → or j k", "frame before, frame after"],
  ["shift ← →", "the same type"],
  ["e  shift e", "next, last error or finding"],
  ["p  shift p", "next, last picture"],
  ["n  shift n", "next, last prompt"],
  ["Home End", "first, last frame"],
  ["+ −", "zoom at the selected frame"],
  ["a d", "move the window"],
  ["f", "fit the whole recording"],
  ["i", "fold idle time, or show it true"],
  ...(LIVE ? [["l", "follow what is new, or stay"]] : []),
  ["/", "filter: words, type:executing, node:3, conn:2, prompt:#1; - excludes"],
  ["1 to 5", "decoded, tree, raw, hex, what changed"],
  ["c", "copy a link to this moment"],
  ["t", "theme: as the system, light, dark"],
  ["Esc", "leave the filter, clear the selection"],
  ["?", "this sheet"],
];

class App {
  constructor(data) {
    this.data = data;
    this.window = { from: 0, to: data.duration };
    this.selected = -1;
    this.font = getComputedStyle(document.body).fontFamily;
    this.known = new Knowledge(data);
    this.colors = readColors();
    this.header();
    this.lanes = new Lanes(this);
    this.list = new List(this);
    this.inspector = new Inspector(this);
    this.listen();
    this.restore();
    this.inspector.draw();
    this.inspector.drawKnew();
    this.redraw();
    if (byId("panel-data")) this.panel = new Panel(this);
    if (LIVE && !location.hash.includes("still=1")) this.live();  // a still for a picture asks once
  }

  // --- a recording that grows ---

  async live() {
    const button = byId("live-button");
    this.following = true;
    button.hidden = false;
    button.addEventListener("click", () => this.follow(!this.following));
    this.follow(true);
    let failures = 0;
    while (!this.data.over) {
      try {
        if (grow(this.data, await news(this.data))) return location.reload();
        failures = 0;
        this.grown();
      } catch (error) {
        failures += 1;
        button.textContent = "○ lost";
        button.title = `${error.message}; asking again`;
        if (failures === 3) this.say("the server does not answer; what was seen so far stays");
      }
      await new Promise((done) => setTimeout(done, failures ? Math.min(500 * failures, 5000) : 150));
    }
    this.following = false;
    button.textContent = "■ ended";
    button.title = "the recording has ended";
  }

  follow(on) {
    if (this.data.over) return;
    this.following = on;
    const button = byId("live-button");
    button.textContent = on ? "● live" : "○ live";
    button.title = on ? "the window follows what is new (l)" : "follow what is new (l)";
    button.setAttribute("aria-pressed", String(on));
    if (on) { this.fit(); this.list.box.scrollTop = this.list.height; }
  }

  grown() {
    const atEnd = this.list.box.scrollTop + this.list.box.clientHeight >= this.list.height - 2 * ROW;
    this.known.extend();
    this.header();
    this.lanes.extend();
    this.list.extend();
    if (this.following) {
      const { from } = this.window, end = this.data.duration * 1.02;
      this.window = from > 0 ? { from: from + end - this.window.to, to: end } : { from, to: end };
      if (atEnd) { this.list.box.scrollTop = this.list.height; this.list.draw(); }
      byId("live-button").textContent = "● live";
    }
    if (this.selected < 0) { this.inspector.draw(); this.inspector.drawKnew(); }
    this.redraw();
  }

  header() {
    const { story, name, rows, redacted, left_out } = this.data;
    byId("name").textContent = name;
    document.title = name;
    const facts = [
      `ComfyUI ${story.version_in_words}`, duration(story.duration_us), plural(rows, "frame"),
      plural(story.prompts.length, "prompt"), plural(story.sockets.length, "socket"), `redacted: ${redacted.join(", ") || "nothing"}`,
    ];
    if (left_out) facts.push(`${left_out} pictures left out`);
    byId("facts").textContent = facts.map((fact) => fact.replaceAll(" ", "\u00a0")).join("\u00a0· ");
    byId("verdicts").replaceChildren();
    byId("findings").replaceChildren();
    const shown = story.prompts.length > 24 ? story.prompts.map((p, n) => [p, n]).filter(([p]) => p.outcome !== "success").slice(0, 24) : story.prompts.map((p, n) => [p, n]);
    if (story.prompts.length > 24) {
      const counts = {};
      for (const prompt of story.prompts) counts[prompt.outcome || "no end"] = (counts[prompt.outcome || "no end"] ?? 0) + 1;
      for (const [outcome, count] of Object.entries(counts)) byId("verdicts").append(make("span", OUTCOME_COLOR[outcome] ?? "warn", `${count} ${outcome}`));
    }
    for (const [prompt, number] of shown) {
      const chip = make("button", colorOf(prompt, this.data));
      chip.type = "button";
      const mark = markOf(prompt, this.data);
      const took = prompt.ended !== null && prompt.started !== null ? " " + duration(prompt.ended - prompt.started) : "";
      chip.textContent = `${mark} ${prompt.id.slice(0, 8)} ${outcomeOf(prompt, this.data)}${took}`;
      chip.addEventListener("click", () => this.toPrompt(number));
      byId("verdicts").append(chip);
    }
    const button = byId("findings-button"), findings = story.findings;
    button.hidden = findings.length === 0;
    button.textContent = `⚑ ${findings.length} ${findings.length === 1 ? "finding" : "findings"}`;
    button.className = findings.some((f) => f.severity === "breaks") ? "bad" : "warn";
    button.onclick = () => { byId("findings").hidden = !byId("findings").hidden; this.redraw(); };
    for (const finding of findings.slice(0, 200)) {
      const item = make("li"), jump = make("button", finding.severity === "breaks" ? "bad" : "warn", `${finding.t_us === null ? "" : duration(finding.t_us) + "  "}${finding.sentence}`);
      jump.type = "button";
      jump.addEventListener("click", () => { if (finding.t_us !== null) this.select(this.rowOf(finding)); });
      item.append(jump);
      byId("findings").append(item);
    }
  }

  rowOf(finding) { return nearestRow(this.data.columns.t, finding.t_us); }

  // --- the window ---

  setWindow(from, to, { follows = false } = {}) {
    if (this.following && !follows) this.follow(false);
    const least = 20, all = this.data.duration, margin = all * 0.02;
    let span = Math.min(Math.max(to - from, least), all + 2 * margin);
    let start = from + (to - from - span) / 2;
    start = Math.max(-margin, Math.min(start, all + margin - span));
    this.window = { from: start, to: start + span };
    this.remember();
    this.redraw();
    this.tellOthers({});
  }

  zoom(factor, t) {
    const { from, to } = this.window;
    this.setWindow(t - (t - from) * factor, t + (to - t) * factor);
  }

  around(from, to) {
    const margin = Math.max((to - from) * 0.05, 10);
    this.setWindow(from - margin, to + margin);
  }

  fit() { this.setWindow(-this.data.duration * 0.005, this.data.duration * 1.02, { follows: true }); }

  cursor() { return this.selected >= 0 ? this.data.columns.t[this.selected] : (this.window.from + this.window.to) / 2; }

  // --- the selection ---

  select(row) {
    if (row < 0 || row >= this.data.rows) return;
    if (this.following) this.follow(false);
    this.selected = row;
    const t = this.data.columns.t[row], { from, to } = this.window, span = to - from;
    if (t < from || t > to) this.window = { from: t - span / 2, to: t + span / 2 };
    this.list.reveal(row);
    this.inspector.draw();
    this.inspector.drawKnew();
    this.say(`${this.data.strings[this.data.columns.type[row]]} at ${duration(t)}`);
    this.remember();
    this.redraw();
    this.tellOthers({ place: this.placeOf(row) });
  }

  // --- side by side with others ---

  // Of a frame in a page of several: what it shows goes to the others, times from the first prompt on.
  get origin() { return this.data.story.prompts[0]?.submitted ?? this.data.story.prompts[0]?.started ?? 0; }

  tellOthers(more) {
    if (parent === globalThis || this.hearing) return;
    const { from, to } = this.window, origin = this.origin;
    parent.postMessage({ comfyrec: { from: from - origin, to: to - origin, ...more } }, "*");
  }

  // Where a row stands: the how manieth of its type, prompt and node; and when.
  placeOf(row) {
    const { type, prompt, node, t } = this.data.columns, { strings } = this.data;
    let nth = 0;
    for (let before = row - 1; before >= 0; before--) if (type[before] === type[row] && prompt[before] === prompt[row] && node[before] === node[row]) nth++;
    return { type: strings[type[row]], prompt: prompt[row], node: node[row] < 0 ? "" : strings[node[row]], nth, t: t[row] - this.origin };
  }

  rowAt(place) {
    const { type, prompt, node, t } = this.data.columns, { strings } = this.data;
    const kind = strings.indexOf(place.type), name = place.node === "" ? -1 : strings.indexOf(place.node);
    let nth = Number(place.nth);
    for (let row = 0; kind >= 0 && row < this.data.rows; row++) {
      if (type[row] === kind && prompt[row] === place.prompt && node[row] === name && nth-- === 0) return row;
    }
    return this.data.rows ? nearestRow(t, Number(place.t) + this.origin) : -1;
  }

  hear({ from, to, place }) {
    this.hearing = true;
    if (Number.isFinite(from) && Number.isFinite(to)) this.setWindow(from + this.origin, to + this.origin);
    if (place) this.select(this.rowAt(place));
    this.hearing = false;
  }

  move(step, fits) {
    const row = this.list.next(step, fits);
    if (row >= 0) this.select(row);
    else this.say(step > 0 ? "nothing more of this" : "nothing before this");
  }

  moveToTrouble(step) {
    const flagged = new Set(this.data.story.findings.filter((f) => f.t_us !== null).map((f) => this.rowOf(f)));
    const { severity } = this.data.columns;
    this.move(step, (row) => severity[row] === 3 || flagged.has(row));
  }

  moveToPrompt(step) {
    const prompts = this.lanes.byStart;
    if (!prompts.length) return;
    const now = this.selected < 0 ? (step > 0 ? -1 : Infinity) : this.cursor(), at = lowerBound(prompts, now + (step > 0 ? 1 : 0), (one) => one.from);
    const next = prompts[step > 0 ? at : at - 1];
    if (next) this.toPrompt(next.number);
  }

  toPrompt(number) {
    const one = this.lanes.byStart.find((other) => other.number === number);
    this.around(one.from, Math.max(one.to, one.from + 100));
    const row = this.data.columns.prompt.indexOf(number);
    this.select(row >= 0 ? row : nearestRow(this.data.columns.t, one.from));
  }

  // --- the link ---

  remember() {
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => { try { history.replaceState(null, "", this.link()); } catch { /* a frame without an address */ } }, 120);
  }

  link() {
    const parts = [`from=${Math.round(this.window.from)}`, `to=${Math.round(this.window.to)}`];
    if (this.selected >= 0) parts.push(`row=${this.selected + 1}`);
    const asked = byId("search").value.trim();
    if (asked) parts.push("find=" + encodeURIComponent(asked));
    return "#" + parts.join("&");
  }

  restore() {
    const said = new URLSearchParams(location.hash.slice(1));
    const number = (name) => (/^-?\d+$/.test(said.get(name) ?? "") ? Number(said.get(name)) : null);
    if (["light", "dark"].includes(said.get("theme"))) this.setTheme(said.get("theme"));
    if (said.get("find")) { byId("search").value = said.get("find"); this.list.filter(); }
    if (number("from") !== null && number("to") !== null) this.setWindow(number("from"), number("to"));
    else this.fit();
    if (number("row") !== null) this.select(number("row") - 1);
    else if (number("t") !== null && this.data.rows) this.select(nearestRow(this.data.columns.t, number("t")));
  }

  // --- the rest ---

  say(words) { byId("where").textContent = words; }

  redraw() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => { this.drawing = false; this.lanes.draw(); });
  }

  theme() {
    const order = ["", "light", "dark"], root = document.documentElement;
    const next = order[(order.indexOf(root.dataset.theme ?? "") + 1) % 3];
    this.setTheme(next);
    try { localStorage.setItem("comfyrec-theme", next); } catch { /* a browser without storage */ }
  }

  setTheme(name) {
    if (name) document.documentElement.dataset.theme = name; else delete document.documentElement.dataset.theme;
    byId("theme-button").textContent = name || "theme";
    this.colors = readColors();
    this.lanes?.draw();
  }

  help() {
    const sheet = byId("help"), table = make("table");
    for (const [keys, words] of this.panel ? [...KEYS, ...PANEL_KEYS] : KEYS) {
      const line = make("tr"), cell = make("td");
      for (const key of keys.split(" ").filter(Boolean)) cell.append(key === "or" || key === "to" ? ` ${key} ` : make("kbd", "", key), " ");
      line.append(cell, make("td", "", words));
      table.append(line);
    }
    const mouse = make("p", "dim", "Drag moves the window, ctrl + wheel zooms, double click zooms to a node or prompt, shift + drag measures. Drag in the overview chooses a window. A click on a type hides it, alt + click shows only it.");
    const close = make("button", "", "close");
    close.type = "button";
    close.addEventListener("click", () => sheet.close());
    sheet.replaceChildren(make("h2", "", "Keys"), table, mouse, close);
    sheet.showModal();
  }

  listen() {
    addEventListener("resize", () => { this.list.draw(); this.redraw(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.colors = readColors(); this.redraw(); });
    addEventListener("keydown", (event) => this.key(event));
    addEventListener("message", (event) => { if (event.source === parent && parent !== globalThis && typeof event.data?.comfyrec === "object") this.hear(event.data.comfyrec); });
    byId("theme-button").addEventListener("click", () => this.theme());
    byId("help-button").addEventListener("click", () => this.help());
    try { this.storedTheme = localStorage.getItem("comfyrec-theme") ?? ""; } catch { this.storedTheme = ""; }
    if (this.storedTheme === "light" || this.storedTheme === "dark") this.setTheme(this.storedTheme);
    for (const [keys, words] of [["←→", "frame"], ["⇧←→", "same type"], ["e", "error"], ["p", "picture"], ["n", "prompt"], ["+−", "zoom"], ["f", "fit"], ["/", "filter"], ["?", "all keys"]]) byId("hints").append(make("kbd", "", keys), ` ${words}   `);
    const divider = byId("divider"), time = byId("time");
    const told = () => divider.setAttribute("aria-valuenow", String(Math.round((time.clientHeight / Math.max(byId("main").clientHeight, 1)) * 100)));
    const resize = (height) => {
      time.style.height = Math.max(120, Math.min(height, byId("main").clientHeight - 120)) + "px";
      told();
      this.list.draw();
      this.redraw();
    };
    told();
    divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
    divider.addEventListener("pointermove", (event) => { if (event.buttons) resize(event.clientY - time.getBoundingClientRect().top); });
    divider.addEventListener("keydown", (event) => {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") { resize(time.clientHeight + (event.key === "ArrowUp" ? -24 : 24)); event.stopPropagation(); event.preventDefault(); }
    });
  }

  key(event) {
    const search = byId("search");
    if (event.key === "Escape") {
      if (document.activeElement === search) search.blur();
      else if (!byId("help").open) { this.selected = -1; this.lanes.setRange(null); this.list.draw(); this.inspector.draw(); this.inspector.drawKnew(); this.remember(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target !== search && ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    if (document.activeElement === search) { if (event.key === "Enter") { search.blur(); this.move(1); } return; }
    const step = event.shiftKey ? -1 : 1, span = this.window.to - this.window.from;
    const { type } = this.data.columns;
    const alike = event.shiftKey && this.selected >= 0 ? (row) => type[row] === type[this.selected] : undefined;
    const actions = {
      ArrowRight: () => this.move(1, alike), ArrowLeft: () => this.move(-1, alike),
      ArrowDown: () => this.move(1, alike), ArrowUp: () => this.move(-1, alike),
      j: () => this.move(1), k: () => this.move(-1),
      Home: () => this.select(this.list.rows[0] ?? -1), End: () => this.select(this.list.rows.at(-1) ?? -1),
      e: () => this.moveToTrouble(step), p: () => this.move(step, (row) => this.data.columns.picture[row] >= 0), n: () => this.moveToPrompt(step),
      "+": () => this.zoom(0.6, this.cursor()), "=": () => this.zoom(0.6, this.cursor()), "-": () => this.zoom(1 / 0.6, this.cursor()),
      a: () => this.setWindow(this.window.from - span / 4, this.window.to - span / 4), d: () => this.setWindow(this.window.from + span / 4, this.window.to + span / 4),
      f: () => this.fit(), l: () => LIVE && this.follow(!this.following), "/": () => search.focus(), t: () => this.theme(), "?": () => this.help(),
      i: () => { this.lanes.foldIdle = !this.lanes.foldIdle; this.say(this.lanes.foldIdle ? "idle time is folded" : "true time"); this.redraw(); },
      c: () => this.inspector.copyText(location.href.split("#")[0] + this.link()),
    };
    Object.keys(TABS).forEach((name, number) => { actions[number + 1] = () => this.inspector.choose(name); });
    if (this.panel && event.target.tagName !== "BUTTON" && this.panel.key(event)) return;
    const action = actions[event.key] ?? actions[event.key.toLowerCase()];
    if (action) { event.preventDefault(); action(); }
  }
}

if (parent !== globalThis) document.documentElement.classList.add("beside");
readData().then((data) => { globalThis.comfyrecPage = new App(data); document.documentElement.dataset.ready = "yes"; })
  .catch((error) => { byId("facts").textContent = `This page cannot be drawn (${error.message}); it needs a browser of 2024 or newer.`; byId("summary").style.display = "block"; throw error; });
