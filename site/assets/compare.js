// Compares two runs: ratios with intervals, and what else differs. The runs' own scripts are loaded when they are chosen.
"use strict";

const form = document.querySelector(".pair");
const result = document.querySelector("#result");
const SIDES = ["a", "b"];
const RATES = ["prefill_tokens_per_s", "decode_tokens_per_s"];
let index = null;
// What is shown, as it is saved.
let shown = null;

// `data/runs.js` calls it with the runs of every runner and the quantiles of Student's t.
globalThis.regressRuns = (found) => {
  index = found;
  start();
};

globalThis.regressRun = hand;

async function run(name) {
  const found = await load(`runs/${name.split("/").map(encodeURIComponent).join("/")}.js`).catch(() => {
    throw new Error(`there is no run ${name}`);
  });
  if (!found.method) throw new Error(`${name} is no longer among the runs to compare`); // its script is of a site of before
  return found;
}

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

const rate = (value) => (value === undefined ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 4 }));
const geometric = (values) => values && Math.exp(mean(values.map(Math.log)));
const word = (metric) => metric?.split("_")[0] ?? "–";

// As the other pages write it.
function percent(value) {
  const text = `${(Math.abs(value - 1) * 100).toFixed(1).replace(".0", "")}%`;
  return text === "0%" ? "±0%" : `${value > 1 ? "+" : "-"}${text}`;
}

const settings = (flags, names = Object.keys(flags)) => names.filter((name) => Object.hasOwn(flags, name)).sort().map((name) => `${name}=${flags[name]}`).join(" ");

// Each name with what both have, where that is not the same.
function changes(before, after) {
  const [left, right] = [before, after].map((found) => new Map(Object.entries(found)));
  const names = [...new Set([...left.keys(), ...right.keys()])];
  return names.filter((name) => left.get(name) !== right.get(name)).map((name) => [name, left.get(name), right.get(name)]);
}

// Why the project would not hold one against the other.
function hindrances(a, b, left, right) {
  return [
    a.machine.fingerprint !== b.machine.fingerprint && "another machine",
    left.harness !== right.harness && "another harness",
    a.method.fingerprint !== b.method.fingerprint && "another method",
    left.weights && right.weights && left.weights !== right.weights && "other weights",
  ].filter(Boolean);
}

function flagNotes(left, right) {
  if (!left.weights || !right.weights) return [];
  const names = changes(left.flags ?? {}, right.flags ?? {}).map(([name]) => name);
  return [["A", left], ["B", right]].map(([side, { flags = {} }]) => [side, settings(flags, names)]).filter(([, text]) => text).map(([side, text]) => `${side}: ${text}`);
}

function faultNotes(left, right) {
  if (left?.fault && left.fault === right?.fault) return [`broken in both: ${left.fault}`];
  return [["A", left], ["B", right]].filter(([, found]) => found?.fault).map(([side, { fault }]) => `broken in ${side}: ${fault}`);
}

// Every case of either run, those that both measured first, with a row for each rate that one of them has, or one row.
function casesOf(a, b) {
  const [lefts, rights] = [a, b].map(({ cases }) => new Map(cases.map((each) => [each.key, each])));
  const cases = [...new Set([...lefts.keys(), ...rights.keys()])].map((key) => {
    const [left, right] = [lefts.get(key), rights.get(key)];
    const measured = RATES.filter((metric) => left?.values?.[metric] || right?.values?.[metric]);
    const rows = (measured.length ? measured : [undefined]).map((metric) => {
      const [x, y] = [left, right].map((found) => found?.values?.[metric]);
      return { metric, before: geometric(x), after: geometric(y), ...(x && y ? ratio(x, y) : {}) };
    });
    const compared = rows.some((row) => row.value !== undefined);
    const why = compared ? hindrances(a, b, left, right) : [];
    const notes = [
      ...(left && right ? flagNotes(left, right) : [`only in ${left ? "A" : "B"}`]),
      ...(why.length ? [`not comparable: ${why.join(", ")}`] : []),
      ...faultNotes(left, right),
    ];
    return { key, left, right, notes, compared, rows: rows.map((row) => ({ ...row, apart: why.length > 0 })) };
  });
  return [...cases.filter(({ compared }) => compared), ...cases.filter(({ compared }) => !compared)];
}

const address = (folder, runner, name) => `${folder}/${encodeURIComponent(runner)}/${encodeURIComponent(name)}.html`;

// A case leads to its series; of two runners to that of each.
function caseCell(each, a, b) {
  const runners = [...new Set([each.left && a.runner, each.right && b.runner].filter(Boolean))];
  const links = runners.map((runner) => element("a", { href: address("series", runner, each.key.replaceAll("/", "~")) }, runners.length > 1 ? runner : each.key));
  const named = runners.length > 1 ? [each.key, element("span", { class: "note" }, links[0], " · ", links[1])] : links;
  const notes = each.notes.map((text) => element("span", { class: "note" }, text));
  return element("th", { scope: "rowgroup", rowspan: each.rows.length }, ...named, ...notes);
}

function rowCells(row, shared) {
  const number = (...children) => element("td", { class: "number" }, ...children);
  const compared = row.value !== undefined;
  return [
    element("td", { class: "metric" }, word(row.metric)),
    number(rate(row.before)),
    number(rate(row.after)),
    number(compared ? element(row.apart ? "span" : "strong", {}, percent(row.value)) : "–"),
    number(row.low === undefined ? "–" : `${percent(row.low)} to ${percent(row.high)}`),
    element("td", {}, ...(compared ? [forest(row, shared)] : [])),
  ];
}

function heading(rows) {
  const comparable = rows.filter((row) => !row.apart);
  const counted = comparable.length ? comparable : rows;
  const means = RATES.map((metric) => {
    const values = counted.filter((row) => row.metric === metric).map((row) => row.value);
    return values.length ? `${word(metric)} ${percent(geometric(values))}` : "";
  }).filter(Boolean);
  if (!means.length) return "B against A: no case was measured in both";
  return `B against A: ${means.join(", ")} in the mean${counted.length < rows.length ? " of what can be compared" : ""}`;
}

function table(cases, a, b) {
  const compared = cases.flatMap(({ rows }) => rows).filter((row) => row.value !== undefined);
  const shared = scale(compared);
  const bodies = cases.map((each) =>
    element("tbody", {}, ...each.rows.map((row, place) => element("tr", {}, ...(place ? [] : [caseCell(each, a, b)]), ...rowCells(row, shared)))),
  );
  const heads = ["Case", "Metric", "A, tokens/s", "B, tokens/s", "B against A", "95 % interval"];
  const head = element("tr", {},
    ...heads.map((text, place) => element("th", { scope: "col", ...(place > 1 ? { class: "number" } : {}) }, text)),
    element("th", { scope: "col" }, "less · same · more", ...(compared.length ? [axis(shared)] : [])));
  return element("section", { class: "card table ratios", "aria-labelledby": "ratios" },
    element("h2", { id: "ratios" }, heading(compared)),
    element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Table of ratios" },
      element("table", {}, element("thead", {}, head), ...bodies)),
  );
}

function list(title, found, none) {
  const items = found.map(([name, before, after]) => element("li", {}, element("code", {}, name), ` ${before ?? "not there"} → ${after ?? "gone"}`));
  return element("section", { class: "card", "aria-labelledby": title.toLowerCase() },
    element("h2", { id: title.toLowerCase() }, title),
    items.length ? element("ul", { class: "changes" }, ...items) : element("p", { class: "quiet" }, none));
}

// Their fingerprints are among what can differ: nothing is the same that has not the same ones.
function machine(a, b, cases) {
  const both = cases.filter(({ left, right }) => left && right);
  const harnesses = new Map(both.filter(({ left, right }) => left.harness !== right.harness).map(({ left, right }) => [left.harness + right.harness, ["harness", left.harness, right.harness]]));
  const methods = changes(a.method, b.method).map(([name, ...values]) => [name === "fingerprint" ? "fingerprint of the method" : name, ...values]);
  return list("Machine", [...changes(a.machine, b.machine), ...harnesses.values(), ...methods], both.length ? "The same machine, harness and method." : "The same machine and method.");
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

function rows(a, b, cases) {
  const head = ["a", "b", "case", "metric", "a_tokens_per_s", "b_tokens_per_s", "ratio", "ratio_low", "ratio_high", "a_flags", "b_flags", "note"];
  const names = [a, b].map(({ runner, id }) => `${runner}/${id}`);
  const flags = (found) => settings(found?.flags ?? {});
  const lines = cases.flatMap(({ key, left, right, notes, rows: own }) =>
    own.map(({ metric, before, after, value, low, high }) => [
      ...names, key, metric ?? "", before ?? "", after ?? "", value ?? "", low ?? "", high ?? "", flags(left), flags(right), notes.join("; "),
    ]));
  return [head, ...lines];
}

const chosen = (side) => `${form.elements[`${side}-runner`].value}/${form.elements[`${side}-run`].value}`;

let turn = 0;

// `absent` are the runs that were asked for and cannot be chosen.
async function show(absent = []) {
  const mine = ++turn;
  const names = SIDES.map(chosen);
  history.replaceState(null, "", `#a=${encodeURIComponent(names[0])}&b=${encodeURIComponent(names[1])}`);
  const found = await Promise.allSettled(names.map(run));
  if (mine !== turn) return;
  const said = [...absent.map((name) => `there is no run ${name}; the usual one is chosen`), ...found.flatMap(({ reason }) => (reason ? [reason.message] : []))];
  const parts = [...new Set(said)].map((text) => element("p", { class: "card" }, text));
  const [a, b] = found.map(({ value }) => value);
  for (const [place, side] of SIDES.entries()) lead(side, found[place].value);
  shown = a && b ? { name: `${a.id}-to-${b.id}`, parts: [a, b, casesOf(a, b)] } : null;
  form.elements.csv.disabled = !shown;
  if (shown) {
    const [, , cases] = shown.parts;
    const packages = [...changes(a.toolchain, b.toolchain), ...changes(a.packages, b.packages)];
    parts.push(table(cases, a, b), machine(a, b, cases), list("Packages", packages, "The same packages."), kernels(a, b));
  }
  result.replaceChildren(...parts);
  document.documentElement.classList.add("ready");
}

// From what is chosen to its page.
function lead(side, found) {
  const link = form.querySelector(`a[data-side="${side}"]`);
  link.hidden = !found;
  if (found) link.href = address("runs", found.runner, found.id);
}

// The runs by toolchain, that of the newest run first, and of each its newest first.
function fill(side) {
  const runner = form.elements[`${side}-runner`].value;
  const groups = new Map();
  for (const [id, label, time] of index.runners.find((each) => each.name === runner).runs) {
    if (!groups.has(label)) groups.set(label, Object.assign(document.createElement("optgroup"), { label }));
    groups.get(label).append(new Option(`${label}, ${time}`, id));
  }
  form.elements[`${side}-run`].replaceChildren(...groups.values());
}

// A run that is older than those to choose from can still be named in the address.
function choose(side, runner, id) {
  form.elements[`${side}-runner`].value = runner;
  fill(side);
  const field = form.elements[`${side}-run`];
  if (![...field.options].some((option) => option.value === id)) field.add(new Option(id, id));
  field.value = id;
}

// The newest run, and the newest one with the toolchain before its own.
function usual({ runs }) {
  const before = runs.find(([, label]) => label !== runs[0][1]) ?? runs[0];
  return [before[0], runs[0][0]];
}

// What the address does not name, or names and is not there, is the usual run, of the other side's runner if that is known.
function restore() {
  const kept = new URLSearchParams(location.hash.slice(1));
  const given = SIDES.map((side) => (kept.get(side) ?? "").split("/"));
  const known = given.map(([runner]) => index.runners.find(({ name }) => name === runner));
  const absent = SIDES.flatMap((side, place) => {
    const of = known[place] ?? known[1 - place] ?? index.runners[0];
    const [runner, id = ""] = given[place];
    const there = known[place] && /^[0-9A-Za-z._+-]*$/.test(id);
    choose(side, of.name, (there && id) || usual(of)[place]);
    return there || !runner ? [] : [given[place].join("/")];
  });
  return show(absent);
}

function start() {
  for (const side of SIDES) {
    form.elements[`${side}-runner`].replaceChildren(...index.runners.map(({ name }) => new Option(name)));
    form.elements[`${side}-runner`].addEventListener("change", () => fill(side));
  }
  form.hidden = false;
  form.addEventListener("change", () => show());
  form.elements.swap.addEventListener("click", () => {
    const [a, b] = SIDES.map((side) => chosen(side).split("/"));
    choose("a", ...b);
    choose("b", ...a);
    show();
  });
  form.elements.csv.addEventListener("click", () => save(`${shown.name}.csv`, "text/csv", csv(rows(...shown.parts))));
  addEventListener("hashchange", restore);
  restore();
}
