// Features × days on one canvas that is as large as what is seen of it: 73,000 cells scroll like 5,000.
//
// A cell's colour is its PSI, from light to dark in one hue; its verdict is a bar in it that needs no colour: half as
// high as the cell for moderate, as high for significant, a dot where there is no verdict, a cross on a column that is
// another. Three bands above tell of
// each night: its data and what is missing, what was decided, which version it was measured against.

import { count, dayOf, decisionsByDay, decisionWords, el, placeOf } from "./words.js";

const SIZES = [3, 5, 8, 12, 18, 26];
const BAND = 17;
const BANDS = ["data", "decision", "version"];
const BANDS_END = BAND * (BANDS.length + 1);
const HEAD = BANDS_END + 3;
const STOPS = [0, 50, 100, 200, 300, 500];
const THEMES = {
  light: { scale: ["#eef4fa", "#d2e3f1", "#a3c8e6", "#4f93c9", "#22639f", "#0a2d59"], ground: "#ffffff", ink: "#1b1f23", faint: "#6a737d", none: "#ececec", onDark: "#ffffff", onLight: "#0a2d59", wrong: "#8a2b06" },
  dark: { scale: ["#1b242e", "#22364a", "#2c5478", "#4d8fc4", "#8cc1ea", "#e2f2ff"], ground: "#121518", ink: "#e6e9ec", faint: "#98a2ab", none: "#33383d", onDark: "#08121c", onLight: "#e2f2ff", wrong: "#ffb38a" },
};

function theme() {
  return THEMES[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"];
}

function colourOf(psi, colours) {
  let place = 0;
  while (place < STOPS.length - 1 && psi >= STOPS[place + 1]) place += 1;
  return { fill: colours.scale[place], mark: place >= 3 ? colours.onDark : colours.onLight };
}

export function paintCell(context, x, y, width, height, psi, verdict, colours) {
  const gap = width > 4 ? 1 : 0;
  const bar = Math.max(1, Math.round(width / 4));
  const middle = x + Math.floor((width - gap - bar) / 2);
  if (verdict === "schema") {
    context.strokeStyle = colours.wrong;
    context.beginPath();
    context.moveTo(x, y + 1); context.lineTo(x + width - gap, y + height - 2); context.moveTo(x + width - gap, y + 1); context.lineTo(x, y + height - 2);
    context.stroke();
    return;
  }
  if (psi === null) {
    context.fillStyle = colours.none;
    context.fillRect(x, y, width - gap, height - 1);
    context.fillStyle = colours.ink;
    context.fillRect(middle, y + Math.floor(height / 2) - 1, bar, 2);
    return;
  }
  const { fill, mark } = colourOf(psi, colours);
  context.fillStyle = fill;
  context.fillRect(x, y, width - gap, height - 1);
  const share = { moderate: 0.5, significant: 1 }[verdict] ?? (verdict === "stable" ? 0 : 0.25);
  if (share === 0) return;
  context.fillStyle = mark;
  const high = Math.round((height - 3) * share);
  context.fillRect(middle, y + height - 2 - high, bar, high);
}

export function legend(page) {
  const of = (psi, verdict, words) => {
    const sample = el("canvas", { width: 18, height: 16, "aria-hidden": "true" });
    paintCell(sample.getContext("2d"), 0, 0, 18, 16, psi, verdict, theme());
    return el("li", {}, sample, ` ${words}`);
  };
  const moderate = page.psi_moderate * 1000;
  const significant = page.psi_significant * 1000;
  return el(
    "ul",
    { class: "legend" },
    of(20, "stable", "stable"),
    of(moderate, "moderate", `moderate: PSI from ${page.psi_moderate}, and not by chance`),
    of(significant + 10, "significant", `significant: above ${page.psi_significant}, and not by chance`),
    of(significant + 10, "stable", "as high without a bar: within chance"),
    of(null, "schema", "no longer the column that was trained on"),
    of(null, "insufficient", `no verdict, for example below ${page.min_rows} rows`),
    el("li", {}, "no cell: the night was not measured"),
  );
}

// What stands in the way of reading a night's column, by day.
function columnsOf(page) {
  const decided = decisionsByDay(page);
  const days = Array.from({ length: page.days }, (_, place) => {
    const day = dayOf(page, place);
    return { day, decision: decided.get(day) ?? null, moves: [] };
  });
  for (const move of page.moves) days[placeOf(page, move.partition)].moves.push(move);
  let before = null;
  page.versions.forEach((version, place) => {
    days[place].isNewVersion = version !== null && version !== before;
    before = version ?? before;
  });
  return days;
}

const LACKS = { s: "not scored", m: "not measured", d: "not decided on" };
const QUALITY = { o: "data ok", i: "data incident", u: "data can't be judged" };

export class HeatMap {
  constructor(page, { openNight }) {
    this.page = page;
    this.columns = columnsOf(page);
    this.order = page.features.map((_, place) => place);
    this.cell = { row: 0, day: Math.max(0, page.days - 1) };
    this.openNight = openNight;
    this.readout = el("p", { class: "readout", id: "readout", "aria-live": "polite" });
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.space = el("div", { class: "space" });
    this.frame = el(
      "div",
      {
        class: "map", id: "heat-map", tabindex: "0", role: "application", "aria-describedby": "readout",
        "aria-label": `Heat map of PSI: ${count(page.features.length, "feature")}, ${count(page.days, "day")}. Arrow keys move, Enter opens the night, plus and minus change the size.`,
      },
      this.canvas, this.space,
    );
    this.frame.addEventListener("scroll", () => this.ask());
    this.frame.addEventListener("keydown", (event) => this.press(event));
    this.frame.addEventListener("pointermove", (event) => this.point(event));
    this.frame.addEventListener("click", (event) => this.point(event) && this.open());
    this.frame.addEventListener("focus", () => this.ask());
    this.frame.addEventListener("blur", () => this.ask());
    new ResizeObserver(() => this.ask()).observe(this.frame);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.ask());
  }

  start() {
    const room = this.frame.clientWidth - this.labels() - 4;
    this.size = Math.max(0, SIZES.findLastIndex((width) => width * this.page.days <= room));
    this.frame.scrollLeft = 0;
    this.draw();
    this.frame.scrollLeft = this.space.offsetWidth;
    this.draw();
  }

  labels() {
    return Math.min(230, Math.round(this.frame.clientWidth * 0.36));
  }

  arrange(order) {
    this.order = order;
    this.cell.row = 0;
    this.frame.scrollTop = 0;
    this.draw();
    this.tell();
  }

  resize(step) {
    this.size = Math.min(SIZES.length - 1, Math.max(0, this.size + step));
    this.draw();
    this.reveal();
  }

  ask() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => {
      this.asked = 0;
      this.draw();
    });
  }

  sizes() {
    const width = SIZES[this.size];
    return { width, height: width >= 18 ? 20 : 13 };
  }

  draw() {
    const { width, height } = this.sizes();
    // Room for all rows and a scroll bar, as far as the style lets it.
    this.frame.style.height = `${HEAD + height * this.page.features.length + 20}px`;
    const [across, down, left] = [this.frame.clientWidth, this.frame.clientHeight, this.labels()];
    const ratio = devicePixelRatio || 1;
    this.space.style.width = `${left + width * this.page.days}px`;
    this.space.style.height = `${HEAD + height * this.order.length + 2}px`;
    this.canvas.width = Math.round(across * ratio);
    this.canvas.height = Math.round(down * ratio);
    this.canvas.style.width = `${across}px`;
    this.canvas.style.height = `${down}px`;
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    const view = {
      context, width, height, left, across, down, colours: theme(),
      x: (day) => left + day * width - this.frame.scrollLeft,
      y: (row) => HEAD + row * height - this.frame.scrollTop,
      days: [Math.floor(this.frame.scrollLeft / width), Math.min(this.page.days, Math.ceil((this.frame.scrollLeft + across - left) / width))],
      rows: [Math.floor(this.frame.scrollTop / height), Math.min(this.order.length, Math.ceil((this.frame.scrollTop + down - HEAD) / height))],
    };
    context.fillStyle = view.colours.ground;
    context.fillRect(0, 0, across, down);
    this.drawCells(view);
    this.drawMoves(view);
    this.drawCursor(view);
    this.drawNames(view);
    this.drawBands(view);
  }

  drawCells({ context, width, height, colours, x, y, days, rows }) {
    for (let row = rows[0]; row < rows[1]; row += 1) {
      const feature = this.page.features[this.order[row]];
      for (let day = days[0]; day < days[1]; day += 1) {
        const digit = feature.verdicts[day];
        if (digit !== ".") paintCell(context, x(day), y(row), width, height, feature.psi[day], this.page.verdict_words[digit], colours);
      }
    }
  }

  drawMoves({ context, colours, down, width, x }) {
    context.strokeStyle = colours.ink;
    context.setLineDash([4, 3]);
    this.columns.forEach((column, day) => {
      if (!column.moves.some((move) => move.to_stage === "Production")) return;
      context.beginPath();
      context.moveTo(x(day) + width - 0.5, HEAD);
      context.lineTo(x(day) + width - 0.5, down);
      context.stroke();
    });
    context.setLineDash([]);
  }

  drawCursor({ context, colours, width, height, x, y }) {
    if (document.activeElement !== this.frame && !this.pointed) return;
    context.strokeStyle = colours.wrong;
    context.lineWidth = 2;
    context.strokeRect(x(this.cell.day) - 1, y(this.cell.row) - 1, width + 1, height + 1);
    context.lineWidth = 1;
  }

  drawNames({ context, colours, left, down, height, y, rows }) {
    context.fillStyle = colours.ground;
    context.fillRect(0, BANDS_END, left, down - BANDS_END);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (let row = rows[0]; row < rows[1]; row += 1) {
      const name = this.page.features[this.order[row]].name;
      context.fillStyle = row === this.cell.row ? colours.wrong : colours.ink;
      context.save();
      context.beginPath();
      context.rect(0, BANDS_END, left - 6, down - BANDS_END);
      context.clip();
      context.fillText(name, 4, y(row) + height / 2);
      context.restore();
    }
  }

  drawBands(view) {
    const { context, colours, across, left, width, x, days } = view;
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, across, BANDS_END);
    context.fillStyle = colours.faint;
    BANDS.forEach((name, band) => context.fillText(name, 4, BAND * (band + 1.5)));
    context.save();
    context.beginPath();
    context.rect(left, 0, across - left, BANDS_END);
    context.clip();
    let told = -Infinity;
    for (let day = Math.max(0, days[0] - 31); day < days[1]; day += 1) {
      const { day: date } = this.columns[day];
      const words = width >= 12 ? date.slice(8) : date.slice(0, 7);
      context.fillStyle = colours.faint;
      if ((width >= 12 || date.endsWith("-01") || day === 0) && x(day) - told >= (width >= 12 ? 16 : 52)) {
        context.fillText(date.endsWith("-01") && width >= 12 ? date.slice(5) : words, x(day), BAND / 2);
        told = x(day) + (date.endsWith("-01") && width >= 12 ? 16 : 0);
      }
      this.drawNight(view, day);
    }
    context.restore();
    context.strokeStyle = colours.faint;
    context.strokeRect(-1, BANDS_END - 0.5, across + 2, 1);
  }

  drawNight({ context, colours, width, x, days }, day) {
    const top = (band) => BAND * (band + 1);
    const mark = (words, band) => width >= 12 && context.fillText(words, x(day) + width / 2 - 3, top(band) + BAND / 2);
    const [quality, lacks] = [this.page.quality[day], this.page.missed[day]];
    const wide = Math.max(1, width - (width > 4 ? 1 : 0));
    if (lacks !== ".") {
      // Hatched: nothing is here that should be.
      context.fillStyle = colours.wrong;
      for (let y = 1; y < BAND - 2; y += 4) context.fillRect(x(day), top(0) + y, wide, 2);
    } else if (quality === "i") {
      context.fillStyle = colours.wrong;
      context.fillRect(x(day), top(0) + 1, wide, BAND - 3);
      context.fillStyle = colours.ground;
      mark("!", 0);
    } else if (quality !== ".") {
      context.fillStyle = colours.faint;
      context.fillRect(x(day), top(0) + (quality === "u" ? BAND / 2 : BAND - 5), wide, 2);
    }
    this.drawDecision(context, colours, day, x(day) + width / 2, top(1) + BAND / 2 - 1);
    const version = this.page.versions[day];
    if (version === null) return;
    context.fillStyle = version % 2 ? colours.faint : colours.ink;
    context.fillRect(x(day), top(2) + BAND - 5, wide + 1, 2);
    if (this.columns[day].isNewVersion || day === days[0]) context.fillText(`v${version}`, x(day), top(2) + 6);
  }

  drawDecision(context, colours, day, x, y) {
    const { decision } = this.columns[day];
    if (decision === null) return;
    context.fillStyle = context.strokeStyle = colours.ink;
    context.beginPath();
    if (decision.action === "hold") context.rect(x - 0.5, y + 4, 1, 1);
    else if (decision.action === "veto") {
      context.moveTo(x - 3, y - 3); context.lineTo(x + 3, y + 3); context.moveTo(x + 3, y - 3); context.lineTo(x - 3, y + 3);
    } else {
      context.moveTo(x - 4, y + 5); context.lineTo(x, y - 4); context.lineTo(x + 4, y + 5); context.closePath();
    }
    context.stroke();
    if (decision.acted) context.fill();
  }

  point(event) {
    const { width, height } = this.sizes();
    const box = this.frame.getBoundingClientRect();
    const day = Math.floor((event.clientX - box.left - this.labels() + this.frame.scrollLeft) / width);
    const row = Math.floor((event.clientY - box.top - HEAD + this.frame.scrollTop) / height);
    if (event.clientX - box.left < this.labels() || day < 0 || day >= this.page.days || row >= this.order.length) return false;
    this.cell = { day, row: event.clientY - box.top < HEAD ? this.cell.row : Math.max(0, row) };
    this.pointed = true;
    this.tell();
    this.ask();
    return true;
  }

  press(event) {
    const leaps = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], PageUp: [0, -10], PageDown: [0, 10],
      Home: [-this.page.days, 0], End: [this.page.days, 0],
    };
    if (event.key in leaps && !event.ctrlKey && !event.metaKey) this.move(...leaps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.open();
    else if (event.key === "+" || event.key === "-") this.resize(event.key === "+" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  move(days, rows) {
    const within = (place, length) => Math.max(0, Math.min(length - 1, place));
    this.cell = { day: within(this.cell.day + days, this.page.days), row: within(this.cell.row + rows, this.order.length) };
    this.reveal();
    this.tell();
  }

  reveal() {
    const { width, height } = this.sizes();
    const { frame } = this;
    const [left, top] = [this.cell.day * width, this.cell.row * height];
    frame.scrollLeft = Math.min(left, Math.max(frame.scrollLeft, left + width - (frame.clientWidth - this.labels())));
    frame.scrollTop = Math.min(top, Math.max(frame.scrollTop, top + height - (frame.clientHeight - HEAD)));
    this.ask();
  }

  open() {
    this.openNight(this.columns[this.cell.day].day);
  }

  tell() {
    this.readout.textContent = this.wordsOf(this.cell);
  }

  wordsOf({ row, day }) {
    const { page } = this;
    const column = this.columns[day];
    const feature = page.features[this.order[row]];
    const words = [column.day];
    if (page.missed[day] !== ".") words.push(LACKS[page.missed[day]]);
    if (feature !== undefined && feature.verdicts[day] !== ".") {
      const psi = feature.psi[day] === null ? "no PSI" : `PSI ${(feature.psi[day] / 1000).toFixed(3)}`;
      words.push(`${feature.name}: ${psi}, ${page.verdict_words[feature.verdicts[day]]}`);
    } else words.push(`${feature === undefined ? "" : `${feature.name}: `}not measured`);
    if (page.versions[day] !== null) words.push(`version ${page.versions[day]}`, QUALITY[page.quality[day]]);
    if (column.decision !== null) words.push(decisionWords(column.decision));
    words.push(...column.moves.map((move) => `version ${move.version} moved to ${move.to_stage}`));
    return words.join(" · ");
  }
}
