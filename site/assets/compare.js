// Compares two runs: ratios with intervals, packages and kernels. The runs' own scripts are loaded when they are chosen.
"use strict";

const form = document.querySelector(".pair");
const result = document.querySelector("#result");
const RATES = ["prefill_tokens_per_s", "decode_tokens_per_s"];
const WIDTH = 220;
let index = null;

// `data/runs.js` calls it with the runs of every runner and the quantiles of Student's t.
globalThis.regressRuns = (found) => {
  index = found;
  start();
};

globalThis.regressRun = hand;

const run = (name) => load(`runs/${name.split("/").map(encodeURIComponent).join("/")}.js`).catch(() => {
  throw new Error(`there is no run ${name}`);
});

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const variance = (values) => {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
};

// Between whole degrees of freedom in their reciprocals, in which the quantile is nearly straight.
function quantile(degrees) {
  const at = (whole) => index.t95[Math.min(whole, index.t95.length) - 1];
  const below = Math.max(Math.floor(degrees), 1);
  const share = (1 / below - 1 / Math.max(degrees, 1)) / (1 / below - 1 / (below + 1));
  return at(below) + (at(below + 1) - at(below)) * share;
}

// Welch's interval of the difference of the logarithms; no interval where a run has one replicate alone.
function ratio(a, b) {
  const [x, y] = [a, b].map((values) => values.map(Math.log));
  const difference = mean(y) - mean(x);
  if (x.length < 2 || y.length < 2) return { value: Math.exp(difference) };
  const [u, v] = [variance(x) / x.length, variance(y) / y.length];
  const degrees = u + v > 0 ? (u + v) ** 2 / (u ** 2 / (x.length - 1) + v ** 2 / (y.length - 1)) : 1;
  const half = u + v > 0 ? quantile(degrees) * Math.sqrt(u + v) : 0;
  return { value: Math.exp(difference), low: Math.exp(difference - half), high: Math.exp(difference + half) };
}

const rate = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });
const percent = (value) => `${value >= 1 ? "+" : "-"}${(Math.abs(value - 1) * 100).toFixed(1)}%`;
const geometric = (values) => Math.exp(mean(values.map(Math.log)));

function rowsOf(a, b) {
  return a.cases.flatMap((left) => {
    const right = b.cases.find((each) => each.key === left.key);
    if (!right) return [];
    return RATES.filter((metric) => left.values[metric] && right.values[metric]).map((metric) => {
      const [x, y] = [left.values[metric], right.values[metric]];
      return { key: left.key, metric, before: geometric(x), after: geometric(y), ...ratio(x, y) };
    });
  });
}

function forest(row, reach) {
  const place = (value) => WIDTH / 2 + (Math.log(value) / reach) * (WIDTH / 2 - 8);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (tag, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
    svg.append(part);
  };
  svg.setAttribute("class", `forest ${row.high < 1 ? "regressed" : row.low > 1 ? "improved" : ""}`);
  svg.setAttribute("viewBox", `0 0 ${WIDTH} 18`);
  svg.setAttribute("aria-hidden", "true");
  add("line", { class: "one", x1: WIDTH / 2, x2: WIDTH / 2, y1: 0, y2: 18 });
  if (row.low !== undefined) add("line", { x1: place(row.low), x2: place(row.high), y1: 9, y2: 9 });
  add("circle", { cx: place(row.value), cy: 9, r: 3.5 });
  return svg;
}

function table(a, b) {
  const rows = rowsOf(a, b);
  if (!rows.length) return element("p", { class: "card" }, "The two runs have no measured case in common.");
  const reach = Math.max(0.005, ...rows.flatMap((row) => [row.low ?? row.value, row.high ?? row.value].map((value) => Math.abs(Math.log(value)))));
  const overall = RATES.map((metric) => {
    const logs = rows.filter((row) => row.metric === metric).map((row) => Math.log(row.value));
    return logs.length ? `${metric.split("_")[0]} ${percent(Math.exp(mean(logs)))}` : "";
  }).filter(Boolean);
  const body = rows.map((row) =>
    element("tr", {},
      element("th", { scope: "row" }, row.key),
      element("td", {}, row.metric.split("_")[0]),
      element("td", { class: "number" }, rate(row.before)),
      element("td", { class: "number" }, rate(row.after)),
      element("td", { class: "number" }, element("strong", {}, percent(row.value))),
      element("td", { class: "number" }, row.low === undefined ? "–" : `${percent(row.low)} to ${percent(row.high)}`),
      element("td", {}, forest(row, reach)),
    ),
  );
  const heads = ["Case", "Metric", "A, tokens/s", "B, tokens/s", "B against A", "95 % interval", "less · same · more"];
  const head = element("tr", {}, ...heads.map((text, place) => element("th", { scope: "col", ...(place > 1 && place < 6 ? { class: "number" } : {}) }, text)));
  return element("section", { class: "card table", "aria-labelledby": "ratios" },
    element("h2", { id: "ratios" }, `B against A: ${overall.join(", ")} in the mean`),
    element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table of ratios" },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...body))),
  );
}

function changes(before, after) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.filter((name) => before[name] !== after[name]).map((name) => [name, before[name], after[name]]);
}

function list(title, found, none) {
  const items = found.map(([name, before, after]) => element("li", {}, element("code", {}, name), ` ${before ?? "not there"} → ${after ?? "gone"}`));
  return element("section", { class: "card", "aria-labelledby": title.toLowerCase() },
    element("h2", { id: title.toLowerCase() }, title),
    items.length ? element("ul", { class: "changes" }, ...items) : element("p", { class: "quiet" }, none));
}

function kernels(a, b) {
  const parts = Object.keys(a.builds).filter((name) => b.builds[name]).map((name) => {
    const [before, after] = [a.builds[name], b.builds[name]];
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    const same = names.filter((each) => before[each] === after[each]);
    const other = names.filter((each) => before[each] !== after[each]);
    const words = (each) => (before[each] === undefined ? "only in B" : after[each] === undefined ? "only in A" : "another source");
    return element("details", {},
      element("summary", {}, `${name}: ${same.length} kernels the same, ${other.length} not`),
      element("ul", { class: "kernels" }, ...other.map((each) => element("li", {}, element("code", {}, each), ` ${words(each)}`))));
  });
  return element("section", { class: "card", "aria-labelledby": "kernels" }, element("h2", { id: "kernels" }, "Kernels"),
    ...(parts.length ? parts : [element("p", { class: "quiet" }, "The two runs have no build in common.")]));
}

const chosen = (side) => `${form.elements[`${side}-runner`].value}/${form.elements[`${side}-run`].value}`;

let turn = 0;

async function show() {
  const mine = ++turn;
  const names = ["a", "b"].map(chosen);
  history.replaceState(null, "", `#a=${encodeURIComponent(names[0])}&b=${encodeURIComponent(names[1])}`);
  try {
    const [a, b] = await Promise.all(names.map(run));
    if (mine !== turn) return;
    result.replaceChildren(
      table(a, b),
      list("Machine", changes(a.machine, b.machine), "The same machine, harness and method."),
      list("Packages", changes(a.packages, b.packages), "The same packages."),
      kernels(a, b),
    );
  } catch (error) {
    if (mine !== turn) return;
    result.replaceChildren(element("p", { class: "card" }, error.message));
  }
  document.documentElement.classList.add("ready");
}

function fill(side) {
  const runner = form.elements[`${side}-runner`].value;
  const runs = index.runners.find((each) => each.name === runner)?.runs ?? [];
  form.elements[`${side}-run`].replaceChildren(...runs.map(([id, label, time]) => new Option(`${label}, ${time}`, id)));
}

// A run that is older than those to choose from can still be named in the address.
function choose(side, name) {
  const [runner, id = ""] = name.split("/");
  if (!index.runners.some((each) => each.name === runner)) return;
  form.elements[`${side}-runner`].value = runner;
  fill(side);
  const field = form.elements[`${side}-run`];
  if (/^[0-9A-Za-z._+-]+$/.test(id) && ![...field.options].some((option) => option.value === id)) field.add(new Option(id, id));
  field.value = id;
}

// The newest run, and the newest one with the toolchain before its own.
function usual() {
  const { name, runs } = index.runners[0];
  const before = runs.find(([, label]) => label !== runs[0][1]) ?? runs[0];
  return [`${name}/${before[0]}`, `${name}/${runs[0][0]}`];
}

function restore() {
  const given = new URLSearchParams(location.hash.slice(1));
  const [a, b] = usual();
  choose("a", given.get("a") ?? a);
  choose("b", given.get("b") ?? b);
  return show();
}

function start() {
  if (!index.runners.length) return;
  for (const side of ["a", "b"]) {
    form.elements[`${side}-runner`].replaceChildren(...index.runners.map(({ name }) => new Option(name)));
    form.elements[`${side}-runner`].addEventListener("change", () => fill(side));
  }
  form.hidden = false;
  form.addEventListener("change", show);
  form.elements.swap.addEventListener("click", () => {
    const [a, b] = ["a", "b"].map(chosen);
    choose("a", b);
    choose("b", a);
    show();
  });
  addEventListener("hashchange", restore);
  restore();
}
