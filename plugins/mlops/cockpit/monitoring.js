// The page of a model's monitoring: reads its year once, draws it, and reads a night where one is opened.
// It only ever reads: nothing here sends anything but GET.

import { HeatMap, legend } from "./heat_map.js";
import { charts } from "./series.js";
import { count, dayOf, decisionEntry, decisionsByDay, decisionWords, el, listing, placeOf, section, shown, table, toAirflow } from "./words.js";

const model = document.body.dataset.model;
const main = document.getElementById("main");
const told = document.getElementById("told");
const until = new URLSearchParams(location.search).get("until");

async function read(path) {
  const answer = await fetch(path);
  if (answer.status === 401) throw new Error("You are no longer logged in: open Airflow anew.");
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.message ?? found.detail ?? `the server said ${answer.status}`);
  return found;
}

function summary(page) {
  const incidents = [...page.quality].filter((letter) => letter === "i").length;
  const measured = [...page.quality].filter((letter) => letter !== ".").length;
  const missed = page.days - [...page.missed].filter((letter) => letter === ".").length;
  const [newest] = page.decisions;
  const facts = [
    ["in Production", page.production === null ? "nothing" : `version ${page.production}`],
    ["shown", page.start === null ? "nothing yet" : `${page.start} … ${dayOf(page, page.days - 1)}`],
    ["measured", count(measured, "night")],
    ["missing something", count(missed, "night")],
    ["data incidents", count(incidents, "night")],
    ["newest decision", newest === undefined ? "none" : `${newest.partition}: ${decisionWords(newest)}`],
  ];
  return el("dl", { class: "facts" }, facts.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
}

function years(page) {
  const links = [];
  if (page.has_earlier) links.push(el("a", { href: `?until=${dayOf(page, -1)}` }, "The year before"));
  if (until !== null) links.push(el("a", { href: location.pathname }, "The newest nights"));
  return links.length ? el("p", { class: "years" }, links.flatMap((link) => [link, " "])) : null;
}

// Worst first: by nights with a shift, the significant ones counting twice, then by the highest PSI.
function ranked(page) {
  const worth = page.verdict_words.map((word) => ({ schema: 2, significant: 2, moderate: 1 })[word] ?? 0);
  const weight = page.features.map(({ verdicts, psi }) => {
    let sum = 0;
    for (const digit of verdicts) sum += worth[digit] ?? 0;
    return sum + psi.reduce((most, each) => Math.max(most, each ?? 0), 0) / 1e6;
  });
  return page.features.map((_, place) => place).sort((a, b) => weight[b] - weight[a] || a - b);
}

function heatMap(page) {
  if (page.features.length === 0) return null;
  const map = new HeatMap(page, { openNight });
  const orders = {
    "most shifted first": () => ranked(page),
    "as trained": () => page.features.map((_, place) => place),
    "by name": () => page.features.map((_, place) => place).sort((a, b) => page.features[a].name.localeCompare(page.features[b].name)),
  };
  const order = el("select", { id: "order" }, Object.keys(orders).map((name) => el("option", {}, name)));
  const wanted = el("input", { id: "wanted", type: "search", placeholder: "part of a name", autocomplete: "off" });
  const arrange = () =>
    map.arrange(orders[order.value]().filter((place) => page.features[place].name.toLowerCase().includes(wanted.value.toLowerCase())));
  order.addEventListener("change", arrange);
  wanted.addEventListener("input", arrange);
  const size = (step, name, words) => {
    const button = el("button", { type: "button", "aria-label": name }, words);
    button.addEventListener("click", () => map.resize(step));
    return button;
  };
  const made = section(
    "drift", "Drift by feature and night",
    el("p", { class: "tools" }, el("label", { for: "order" }, "Features "), order, " ", el("label", { for: "wanted" }, "only "), wanted, " ",
      size(-1, "Smaller cells", "−"), size(1, "Larger cells", "+")),
    legend(page), map.readout, map.frame,
    el("p", { class: "quiet" }, "PSI against the bins that were frozen when the version was trained; score is the prediction itself. In the bands: hatched is a night that lacks something, a filled block a data incident; ▲ a retrain that acted, △ one that was recorded, × a veto. A dashed line is a promotion. Click a night, or press Enter on it, for all its numbers."),
  );
  made.start = () => {
    map.start();
    arrange();
  };
  return made;
}

const HEADS = {
  psi: "PSI", psi_expected: "by chance", psi_pvalue: "p", missing_reference: "missing at training", missing_current: "missing",
  outside_range: "outside its range", reference_rows: "rows at training", current_rows: "rows", reason: "remark",
};

function cellOf(value) {
  if (typeof value === "number" || value === null) return shown(value);
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join("; ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// The record keeps its fields in no order; what it has besides these comes last.
function factsTable(label, rows) {
  const first = ["feature", "name", "watch", "verdict", "value", "low", "high", "threshold", "reference", ...Object.keys(HEADS)];
  const place = (key) => (first.includes(key) ? first.indexOf(key) : first.length);
  const keys = Object.keys(rows[0]).sort((a, b) => place(a) - place(b));
  return table(label, keys.map((key) => HEADS[key] ?? key.replaceAll("_", " ")), rows.map((row) => keys.map((key) => cellOf(row[key]))));
}

function nightParts(page, night) {
  const drift = [...night.drift].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1));
  const severity = page.verdict_words.filter((word) => word !== "stable" && drift.some((each) => each.verdict === word));
  const shifted = severity.map((word) => `${drift.filter((each) => each.verdict === word).length} ${word}`).join(", ");
  const decisions = page.decisions.filter((each) => each.partition === night.partition);
  return [
    el("p", {}, `${count(night.rows, "row")} scored by version ${night.model_version ?? "unknown"}; data ${night.data_quality.status}; features: ${shifted || "all stable"}.`),
    el("ul", {}, night.data_quality.reasons.map((reason) => el("li", {}, reason))),
    decisions.length ? el("ul", { class: "listing" }, decisions.map(decisionEntry)) : el("p", {}, "Nothing was decided on it."),
    night.checks?.length ? [el("h3", {}, "Checks"), factsTable(`Checks of ${night.partition}`, night.checks)] : null,
    drift.length ? [el("h3", {}, "Features"), factsTable(`Features of ${night.partition}`, drift)] : null,
  ].flat();
}

let page = null;

async function openNight(partition) {
  const held = document.getElementById("night");
  const title = el("h2", { id: "night-title", tabindex: "-1" }, `Night ${partition}`);
  const close = el("button", { type: "button" }, "Close");
  close.addEventListener("click", () => {
    held.hidden = true;
    document.getElementById("heat-map")?.focus();
  });
  held.onkeydown = (event) => event.key === "Escape" && close.click();
  held.replaceChildren(title, close);
  held.hidden = false;
  title.focus();
  if (page.quality[placeOf(page, partition)] === ".") {
    held.append(el("p", {}, "It was not measured. ", toAirflow(`dags/monitor_model__${model}/runs`, `Runs of monitor_model__${model}`)));
    return;
  }
  try {
    const night = await read(`${encodeURIComponent(model)}/nights/${partition}.json`);
    if (title.isConnected) held.append(...nightParts(page, night).filter(Boolean));
  } catch (problem) {
    held.append(el("p", {}, problem.message));
  }
}

function missing() {
  const incidents = Object.entries(page.reasons).sort().reverse();
  return section(
    "missing", "Missing nights and data incidents",
    page.holes.length
      ? [listing([...page.holes].reverse(), (words) => el("li", {}, words)), el("p", {}, toAirflow(`dags/monitor_model__${model}/runs`, `Runs of monitor_model__${model}`), " · ", toAirflow(`dags/score_batch__${model}/runs`, `runs of score_batch__${model}`))].flat()
      : el("p", {}, "No night is missing."),
    el("h3", {}, "What is wrong with the data of nights"),
    incidents.length
      ? listing(incidents, ([day, reasons]) => el("li", {}, el("strong", {}, day), el("ul", {}, reasons.map((reason) => el("li", {}, reason)))), 5)
      : el("p", {}, "Nothing was found."),
  );
}

function decisions() {
  const held = el("div");
  const all = el("input", { type: "checkbox", id: "holds" });
  const fill = () => {
    const [newest] = page.decisions;
    const chosen = page.decisions.filter((each) => all.checked || each === newest || each.action !== "hold" || each.requested);
    held.replaceChildren(...listing(chosen, decisionEntry, 10));
  };
  all.addEventListener("change", fill);
  fill();
  return section(
    "decisions", "Decisions",
    page.decisions.length
      ? [el("p", {}, all, " ", el("label", { for: "holds" }, "Every hold too")), held]
      : el("p", {}, "Nothing was decided yet: ", toAirflow(`dags/monitor_model__${model}`, `monitor_model__${model}`), " decides on each night that it has measured."),
  );
}

function checks() {
  return section(
    "checks", "What else is watched",
    page.checks.length
      ? charts(page)
      : el("p", {}, "Nothing but features is measured of these nights yet. Performance is once labels are known of what was scored; latency and errors are where the model answers online, with mlops serve."),
  );
}

function versions() {
  const lines = [...page.moves].reverse();
  return section(
    "versions", "Versions",
    lines.length
      ? listing(lines, (move) => el("li", {}, el("strong", {}, `${move.partition}: version ${move.version}`), ` ${move.from_stage} → ${move.to_stage}, by ${move.actor}: ${move.reason}`), 10)
      : el("p", {}, "No version moved in these nights."),
  );
}

function nightRows() {
  const digits = ["schema", "significant", "moderate"].map((word) => String(page.verdict_words.indexOf(word)));
  const decided = decisionsByDay(page);
  const rows = [];
  for (let place = page.days - 1; place >= 0; place -= 1) {
    const day = dayOf(page, place);
    const decision = decided.get(day);
    const numbers = digits.map((digit) => page.features.filter((each) => each.verdicts[place] === digit).length);
    const worst = page.features.reduce((most, each) => ((each.psi[place] ?? -1) > (most?.psi[place] ?? -1) ? each : most), null);
    const data = { s: "not scored", m: "not measured", d: "not decided on" }[page.missed[place]] ?? { o: "ok", i: "incident", u: "can't be judged" }[page.quality[place]] ?? "–";
    const open = el("button", { type: "button", class: "link" }, day);
    open.addEventListener("click", () => openNight(day));
    rows.push([
      page.quality[place] === "." ? day : open, data, shown(page.rows[place]), shown(page.versions[place]), ...numbers.map(String),
      worst === null || worst.psi[place] === null ? "–" : `${(worst.psi[place] / 1000).toFixed(3)} ${worst.name}`,
      decision === undefined ? "–" : decision.run ? toAirflow(decision.run, decisionWords(decision)) : decisionWords(decision),
    ]);
  }
  return rows;
}

function nights() {
  const details = el("details", {}, el("summary", {}, "The same as a table, night by night"));
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    details.append(table("Nights, the newest first", ["night", "data", "rows", "version", "schema", "significant", "moderate", "highest PSI", "decision"], nightRows()));
  });
  return section("nights", "Nights", details);
}

function draw() {
  const night = el("section", { id: "night", hidden: true, "aria-labelledby": "night-title" });
  const advice = page.advice === null ? null : el("p", { class: "advice" }, page.advice.words, " ", toAirflow(page.advice.path, "Go there"));
  const held = page.held.map((words) => el("p", { class: "advice" }, words));
  const drift = heatMap(page);
  const nothing = page.start === null && until !== null ? el("p", {}, `Nothing is known of ${model} up to ${until}.`) : null;
  const parts = page.start === null ? [nothing] : [drift, night, missing(), decisions(), checks(), versions(), nights()];
  main.replaceChildren(...[summary(page), ...held, advice, years(page), ...parts].filter(Boolean));
  drift?.start();
  performance.mark("drawn");
}

try {
  page = await read(`${encodeURIComponent(model)}/year.json${until === null ? "" : `?until=${encodeURIComponent(until)}`}`);
  draw();
} catch (problem) {
  told.textContent = problem.message;
}
