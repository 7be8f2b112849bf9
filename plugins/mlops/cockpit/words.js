// Elements, days and links: what the other files of the page are made with.
// Words from the record are only ever text: no HTML is made of them.

const AIRFLOW = "../../";
const DAY_MS = 86400000;

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export function dayOf(page, place) {
  return new Date(Date.parse(page.start) + place * DAY_MS).toISOString().slice(0, 10);
}

export function placeOf(page, partition) {
  return Math.round((Date.parse(partition) - Date.parse(page.start)) / DAY_MS);
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function shown(number) {
  if (number === null || number === undefined) return "–";
  return Number.isInteger(number) ? number.toLocaleString("en") : String(Number(number.toPrecision(4)));
}

// Airflow frames this page without leave to move the window around it; a link of that window itself may.
function leave(event) {
  if (window.parent === window || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const around = window.parent.document;
  const link = around.createElement("a");
  link.href = event.currentTarget.href;
  around.body.append(link);
  link.click();
  link.remove();
}

export function toAirflow(path, words) {
  const link = el("a", { href: AIRFLOW + path }, words);
  link.addEventListener("click", leave);
  return link;
}

export function section(id, title, ...children) {
  return el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title), ...children);
}

// The first few of a list, and a button for the others.
export function listing(items, make, first = 15) {
  const list = el("ul", { class: "listing" }, items.slice(0, first).map(make));
  if (items.length <= first) return [list];
  const more = el("button", { type: "button" }, `Show ${count(items.length - first, "more", "more")}`);
  more.addEventListener("click", () => {
    const rest = items.slice(first).map(make);
    list.append(...rest);
    rest[0].tabIndex = -1;
    rest[0].focus();
    more.remove();
  });
  return [list, more];
}

export function table(label, heads, rows) {
  const head = el("tr", {}, heads.map((words) => el("th", { scope: "col" }, words)));
  const body = rows.map(([first, ...others]) =>
    el("tr", {}, el("th", { scope: "row" }, first), others.map((cell) => el("td", {}, cell))),
  );
  return el(
    "div",
    { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
    el("table", {}, el("caption", { class: "vh" }, label), el("thead", {}, head), el("tbody", {}, body)),
  );
}

export function decisionWords(decision) {
  const became = decision.action !== "retrain" ? "" : decision.acted ? ", acted" : ", recorded without acting";
  return `${decision.action}${decision.trigger === "none" ? "" : ` on ${decision.trigger}`}${became}`;
}

// Of several decisions on a night, as where it was replayed, the one that weighs most; of equals the newest.
export function decisionsByDay(page) {
  const rank = (decision) => (decision.acted ? 3 : { veto: 2, retrain: 1 }[decision.action] ?? 0);
  const found = new Map();
  for (const decision of page.decisions) {
    const known = found.get(decision.partition);
    if (known === undefined || rank(decision) > rank(known)) found.set(decision.partition, decision);
  }
  return found;
}

export function decisionEntry(decision) {
  const links = [
    decision.run && toAirflow(decision.run, "the run that decided"),
    decision.training && toAirflow(decision.training, "its training"),
  ].filter(Boolean);
  return el(
    "li",
    { class: `decision ${decision.action}`, "data-decision": decision.number },
    el("p", {}, el("strong", {}, `${decision.partition}: ${decisionWords(decision)}`), ` · decision ${decision.number}, ${decision.recorded_at} `,
      links.flatMap((link) => ["· ", link, " "]), decision.acted && !decision.training ? "· no training has taken it up" : null),
    el("ul", {}, decision.reasons.map((reason) => el("li", {}, reason)),
      decision.failed_at ? el("li", {}, `its training came to nothing: ${decision.failed_at}`) : null),
  );
}
