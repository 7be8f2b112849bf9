// One chart for each check: its value night by night with its interval, its threshold, versions and nights without it.

import { count, dayOf, el, placeOf, shown } from "./words.js";

const HIGH = 130;
const PAD = { left: 58, right: 10, top: 16, bottom: 20 };
const WATCHES = {
  data_quality: "Data", feature_drift: "Features", prediction_drift: "Predictions", performance: "Performance",
  latency: "Latency", traffic: "Errors and throughput",
};

function svg(name, attributes, words) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (words !== undefined) made.textContent = words;
  return made;
}

// Runs of neighbouring days that have a value.
function runs(values) {
  const found = [];
  values.forEach((value, day) => {
    if (value === null) return;
    if (day > 0 && values[day - 1] !== null && found.length) found.at(-1).push(day);
    else found.push([day]);
  });
  return found;
}

function scales(page, check, across) {
  const known = [...check.value, ...check.low, ...check.high, ...check.threshold].filter((value) => value !== null);
  const [least, most] = known.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const [bottom, top] = known.length ? [least - room, most + room] : [0, 1];
  const wide = (across - PAD.left - PAD.right) / Math.max(1, page.days);
  return {
    wide, ends: known.length ? [...new Set([least, most])] : [],
    x: (day) => PAD.left + (day + 0.5) * wide,
    y: (value) => HIGH - PAD.bottom - ((value - bottom) / (top - bottom)) * (HIGH - PAD.top - PAD.bottom),
  };
}

function path(days, x, y) {
  return days.map((day, place) => `${place ? "L" : "M"}${x(day).toFixed(1)} ${y(day).toFixed(1)}`).join("");
}

function wordsOf(page, check, day) {
  if (check.verdicts[day] === ".") return `${dayOf(page, day)} · not measured`;
  const words = [dayOf(page, day), `${check.name} ${shown(check.value[day])}`];
  if (check.low[day] !== null || check.high[day] !== null) words[1] += ` [${shown(check.low[day])}, ${shown(check.high[day])}]`;
  if (check.threshold[day] !== null) words.push(`threshold ${shown(check.threshold[day])}`);
  if (check.reference[day] !== null) words.push(`${shown(check.reference[day])} at training`);
  words.push({ o: "ok", b: "breach", u: "no verdict" }[check.verdicts[day]] ?? "");
  const reason = check.reasons[dayOf(page, day)];
  if (reason) words.push(reason);
  return words.join(" · ");
}

function paint(page, check, drawing, across) {
  const { x, y, wide, ends } = scales(page, check, across);
  const parts = [];
  for (const value of ends) {
    parts.push(svg("text", { x: PAD.left - 6, y: y(value) + 4, class: "axis", "text-anchor": "end" }, shown(value)));
  }
  for (let day = 0; day < page.days; day += 1) {
    const date = dayOf(page, day);
    if (date.endsWith("-01") && x(day) < across - 50) parts.push(svg("text", { x: x(day), y: HIGH - 5, class: "axis" }, page.days > 62 ? date.slice(0, 7) : date.slice(5)));
    if (check.verdicts[day] === ".") parts.push(svg("rect", { x: x(day) - wide / 2, y: HIGH - PAD.bottom, width: wide, height: 3, class: "hole" }));
    if (check.verdicts[day] === "u") parts.push(svg("circle", { cx: x(day), cy: HIGH - PAD.bottom - 3, r: 1.5, class: "unknown" }));
  }
  for (const days of runs(check.low.map((low, day) => (check.high[day] === null ? null : low)))) {
    const upper = path(days, x, (day) => y(check.high[day]));
    const lower = path([...days].reverse(), x, (day) => y(check.low[day])).replace("M", "L");
    parts.push(svg("path", { d: `${upper}${lower}Z`, class: "interval" }));
  }
  for (const days of runs(check.reference)) parts.push(svg("path", { d: path(days, x, (day) => y(check.reference[day])), class: "reference" }));
  for (const days of runs(check.threshold)) parts.push(svg("path", { d: path(days, x, (day) => y(check.threshold[day])), class: "threshold" }));
  for (const days of runs(check.value)) {
    parts.push(svg("path", { d: path(days, x, (day) => y(check.value[day])), class: "value" }));
    if (days.length === 1) parts.push(svg("circle", { cx: x(days[0]), cy: y(check.value[days[0]]), r: 2, class: "dot" }));
  }
  check.value.forEach((value, day) => {
    if (value === null || check.verdicts[day] !== "b") return;
    const [left, up] = [x(day), y(value)];
    parts.push(svg("path", { d: `M${left - 4} ${up + 4}L${left} ${up - 4}L${left + 4} ${up + 4}Z`, class: "breach" }));
  });
  for (const move of page.moves.filter((each) => each.to_stage === "Production")) {
    const at = x(placeOf(page, move.partition)) + wide / 2;
    parts.push(svg("path", { d: `M${at} ${PAD.top - 4}V${HIGH - PAD.bottom}`, class: "move" }));
    parts.push(svg("text", { x: at + 3, y: 11, class: "axis" }, `v${move.version}`));
  }
  drawing.setAttribute("viewBox", `0 0 ${across} ${HIGH}`);
  drawing.replaceChildren(...parts, svg("path", { d: "", class: "cursor" }));
}

function chart(page, check) {
  const measured = [...check.verdicts].map((letter, day) => (letter === "." ? -1 : day)).filter((day) => day >= 0);
  const newest = measured.at(-1) ?? page.days - 1;
  const breaches = [...check.verdicts].filter((letter) => letter === "b").length;
  const summary = `${count(breaches, "breach", "breaches")} in ${count(measured.length, "night")}`;
  const readout = el("p", { class: "readout", "aria-live": "polite" }, wordsOf(page, check, newest));
  const drawing = svg("svg", { height: HIGH, tabindex: "0", role: "img", "aria-label": `${check.name}: ${summary}. ${wordsOf(page, check, newest)}. Arrow keys move from night to night.` });
  let at = newest;
  let across = 0;
  const show = (day) => {
    at = Math.max(0, Math.min(page.days - 1, day));
    readout.textContent = wordsOf(page, check, at);
    const { x } = scales(page, check, across);
    drawing.querySelector(".cursor").setAttribute("d", `M${x(at)} ${PAD.top - 4}V${HIGH - PAD.bottom}`);
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -page.days, End: page.days };
  drawing.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    show(at + steps[event.key]);
  });
  drawing.addEventListener("pointermove", (event) => {
    const { wide } = scales(page, check, across);
    show(Math.floor((event.clientX - drawing.getBoundingClientRect().left - PAD.left) / wide));
  });
  new ResizeObserver(() => {
    if (drawing.clientWidth === across || drawing.clientWidth === 0) return;
    across = drawing.clientWidth;
    paint(page, check, drawing, across);
  }).observe(drawing);
  return el("figure", { class: "check", "data-check": `${check.watch}/${check.name}` }, el("figcaption", {}, el("strong", {}, check.name), ` · ${summary}`), drawing, readout);
}

export function charts(page) {
  const watches = [...new Set(page.checks.map((check) => check.watch))];
  return watches.map((watch) =>
    el("div", {}, el("h3", {}, WATCHES[watch] ?? watch.replaceAll("_", " ")), page.checks.filter((check) => check.watch === watch).map((check) => chart(page, check))),
  );
}
