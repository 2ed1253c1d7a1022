// The frame list: virtual rows, a filter line, chips for types. One selection for the whole page.

const ROW = 22, SCROLL_MAX = 8e6;  // browsers stop at some 16 million pixels; then a pixel is several rows

class List {
  constructor(app) {
    this.app = app;
    this.data = app.data;
    this.box = byId("list");
    this.inner = byId("rows");
    this.hidden = new Set();
    this.chips = new Map();
    this.counts = new Map();
    this.done = 0;
    this.extend();
    this.box.addEventListener("scroll", () => this.draw());
    byId("search").addEventListener("input", () => { this.filter(); this.app.remember(); });
  }

  // Take in rows and findings that are new.
  extend() {
    const { type } = this.data.columns, counts = this.counts;
    this.flags = new Map();
    for (const finding of this.data.story.findings) if (finding.at !== null) this.flags.set(finding.t_us, finding);
    for (let row = this.done; row < this.data.rows; row++) counts.set(type[row], (counts.get(type[row]) ?? 0) + 1);
    this.done = this.data.rows;
    this.lower = undefined;
    this.makeChips();
    this.filter();
  }

  makeChips() {
    const counts = this.counts;
    for (const [number, count] of [...counts].sort((a, b) => b[1] - a[1])) {
      const words = `${this.data.strings[number]} ${count}`, there = this.chips.get(number);
      if (there) { if (there.textContent !== words) there.textContent = words; continue; }
      const chip = make("button", "", words);
      chip.type = "button";
      chip.title = "click hides, alt-click shows only these";
      chip.setAttribute("aria-pressed", "true");
      chip.addEventListener("click", (event) => {
        if (event.altKey) {
          const alone = this.hidden.size === counts.size - 1 && !this.hidden.has(number);
          this.hidden = new Set(alone ? [] : [...counts.keys()].filter((other) => other !== number));
        } else if (!this.hidden.delete(number)) this.hidden.add(number);
        for (const [other, element] of this.chips) element.setAttribute("aria-pressed", String(!this.hidden.has(other)));
        this.filter();
      });
      this.chips.set(number, chip);
      byId("chips").append(chip);
    }
  }

  // Words of the filter line: `type:`, `node:`, `conn:`, `prompt:`, or any words; `-` in front excludes.
  filter() {
    const asked = byId("search").value.trim().toLowerCase();
    const tests = asked ? asked.split(/\s+/).map((word) => this.test(word)) : [];
    const { type } = this.data.columns, rows = new Uint32Array(this.data.rows);
    let count = 0;
    for (let row = 0; row < this.data.rows; row++) {
      if (this.hidden.has(type[row])) continue;
      let fits = true;
      for (const test of tests) if (!test(row)) { fits = false; break; }
      if (fits) rows[count++] = row;
    }
    this.rows = rows.subarray(0, count);
    byId("count").textContent = count === this.data.rows ? plural(count, "frame") : `${count.toLocaleString("en")} of ${this.data.rows.toLocaleString("en")}`;
    this.height = Math.min(count * ROW, SCROLL_MAX);
    this.inner.style.height = this.height + "px";
    this.draw();
  }

  test(word) {
    const not = word.startsWith("-") && word.length > 1;
    const [, key, value] = /^(type|node|conn|prompt):(.*)$/.exec(not ? word.slice(1) : word) ?? [null, "", not ? word.slice(1) : word];
    const columns = this.data.columns;
    let fits;
    if (key === "conn") fits = (row) => String(columns.conn[row]) === value;
    else if (key === "prompt") {
      const prompts = new Set(this.data.story.prompts.flatMap((p, n) => (p.id.toLowerCase().startsWith(value) || "#" + (n + 1) === value ? [n] : [])));
      fits = (row) => prompts.has(columns.prompt[row]);
    } else {
      const found = this.matching(value, key === "node");
      if (key === "type") fits = (row) => found[columns.type[row]] === 1;
      else if (key === "node") fits = (row) => columns.node[row] >= 0 && found[columns.node[row]] === 1;
      else fits = (row) => found[columns.words[row]] === 1 || found[columns.type[row]] === 1;
    }
    return not ? (row) => !fits(row) : fits;
  }

  // Which of the texts have the words in them, looked at once for each text and not for each row.
  matching(value, whole) {
    this.lower ??= this.data.strings.map((text) => text.toLowerCase());
    return Uint8Array.from(this.lower, (text) => (whole ? text === value : text.includes(value) ? 1 : 0));
  }

  place(row) { return lowerBound(this.rows, row); }

  draw() {
    const tall = this.box.clientHeight, total = this.rows.length;
    const real = total * ROW, most = Math.max(this.height - tall, 1);
    // Where all rows do not fit into the scroll height, the part that is scrolled tells the row.
    const offset = real <= SCROLL_MAX ? this.box.scrollTop : (this.box.scrollTop / most) * (real - tall);
    const first = Math.max(Math.floor(offset / ROW) - 2, 0), last = Math.min(first + Math.ceil(tall / ROW) + 5, total);
    const shift = this.box.scrollTop - offset;
    const made = [];
    for (let place = first; place < last; place++) made.push(this.row(this.rows[place], place, place * ROW + shift));
    this.inner.replaceChildren(...made);
    this.box.setAttribute("aria-rowcount", String(total));
  }

  row(row, place, top) {
    const { t, side, type, words, size, severity } = this.data.columns, strings = this.data.strings;
    const before = place > 0 ? this.rows[place - 1] : -1;
    const element = make("div", "row");
    element.style.top = top + "px";
    element.role = "row";
    element.setAttribute("aria-rowindex", String(place + 1));
    element.setAttribute("aria-selected", String(row === this.app.selected));
    const flag = this.flags.has(t[row]) ? "flag" : "";
    element.append(
      make("span", "number", (t[row] / 1e6).toFixed(4)),
      make("span", "number gap", before < 0 ? "" : "+" + duration(t[row] - t[before])),
      make("span", side[row] === 0 ? "from-client" : "", flag ? "⚑" : side[row] === 0 ? "→" : "←"),
      make("span", severity[row] === 3 ? "bad" : severity[row] === 1 ? "good" : side[row] === 0 ? "from-client" : "", strings[type[row]]),
      make("span", severity[row] === 3 ? "bad" : "", strings[words[row]]),
      make("span", "number size", size[row] ? bytes(size[row]) : ""),
    );
    if (flag) element.children[2].className = "flag";
    // Where the column is too narrow for it.
    for (const cell of [element.children[3], element.children[4]]) cell.title = cell.textContent;
    for (const cell of element.children) cell.role = "gridcell";
    element.addEventListener("click", () => this.app.select(row));
    return element;
  }

  reveal(row) {
    const place = this.place(row), total = this.rows.length, tall = this.box.clientHeight;
    if (place >= total || this.rows[place] !== row) return this.draw();
    const real = total * ROW, top = place * ROW;
    if (real <= SCROLL_MAX) {
      if (top < this.box.scrollTop || top + ROW > this.box.scrollTop + tall) this.box.scrollTop = top - tall / 2;
    } else this.box.scrollTop = ((top - tall / 2) / (real - tall)) * (this.height - tall);
    this.draw();
  }

  // The next row of the list in a direction that fits; -1 if there is none.
  next(step, fits = () => true) {
    const none = this.app.selected < 0;
    let place = none ? (step > 0 ? -1 : this.rows.length) : this.place(this.app.selected);
    if (!none && step > 0 && this.rows[place] !== this.app.selected) place -= 1;
    for (place += step; place >= 0 && place < this.rows.length; place += step) if (fits(this.rows[place])) return this.rows[place];
    return -1;
  }
}
