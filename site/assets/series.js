// Draws a series with Plotly from the columns that its data script hands over; all that is chosen stands in the address.
"use strict";

const form = document.querySelector(".toolbar");
const chart = document.querySelector(".chart");
const SYMBOLS = { regressed: "triangle-down", improved: "triangle-up", inconclusive: "diamond" };
const BAD = new Set(["regressed", "broken", "missing"]);
// Pixels: of a tick and the room beside it, of a letter, and what is left and right of the plot.
const [TICK, LETTER, MARGINS] = [70, 9, 90];
let data = null;
const sources = new Map();
const texts = new Map();
let short = [];

// The data script calls it.
globalThis.regressData = (found) => {
  data = found;
  start();
};

function state() {
  const given = new FormData(form);
  return {
    show: given.get("show"),
    x: given.get("x"),
    log: given.has("log"),
    zero: given.has("zero"),
    relative: given.has("relative"),
  };
}

const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
function metricsOf(chosen) {
  return chosen.show === "rates" ? RATES.filter((name) => data.metrics[name]) : [chosen.show];
}

// Labels of toolchains as they stand at an axis: their middle left out where they are long, but for those that would be alike.
function shortened(labels, most) {
  const cut = labels.map((label) => (label.length > most ? `${label.slice(0, most / 2)}…${label.slice(1 - most / 2)}` : label));
  const counts = Map.groupBy(cut, (label) => label);
  return cut.map((label, index) => escaped(counts.get(label).length > 1 ? labels[index] : label));
}

function place(index, chosen) {
  if (chosen.x === "run") return index;
  if (chosen.x === "toolchain") return short[data.label[index]];
  return day(data.times[index]);
}

const hasReference = (chosen) => metricsOf(chosen).every((name) => data.bands[name]);

// The first run that can be compared with the newest: of its machine, with the usual flags if any is, and no import.
function firstOf(metric) {
  const { median } = data.metrics[metric];
  const having = data.runs.flatMap((_, index) => (median[index] === null ? [] : [index]));
  const isUsual = (index) => data.usual[index] === 1;
  const isOwn = (index) => !sources.has(index);
  const found = [having.filter((index) => isUsual(index) && isOwn(index)), having.filter(isOwn), having].find(({ length }) => length);
  return median[found.find((index) => data.segment[index] === data.segment[found.at(-1)])];
}

// What the chart divides by: a relative one by the reference's level, else by the first run's, else by the unit of the axis.
function divisor(metric, chosen) {
  if (!chosen.relative) return unitOnAxis(data.metrics[metric]).size;
  return hasReference(chosen) ? data.bands[metric].level : firstOf(metric);
}

function hover(index, metric) {
  const column = data.metrics[metric];
  const text = texts.get(metric)?.get(index);
  const source = sources.get(index);
  const range = `(${shown(column.low[index], column.unit)} to ${shown(column.high[index], column.unit)}, ${column.count[index]} replicates)`;
  return [
    `<b>${escaped(data.labels[data.label[index]])}</b>, ${day(data.times[index])} UTC`,
    `${shown(column.median[index], column.unit)}${source ? "" : ` ${range}`}`,
    ...(text ? [escaped(text)] : column.outcome?.[index] ? [column.outcome[index]] : []),
    ...(source ? [`imported from ${escaped(source)}, not judged`] : []),
  ].join("<br>");
}

function traceOf(metric, axis, indices, name, slot, chosen) {
  const column = data.metrics[metric];
  const unit = divisor(metric, chosen);
  const own = slotColour(slot);
  const [median, low, high] = ["median", "low", "high"].map((part) => indices.map((index) => (column[part][index] === null ? null : column[part][index] / unit)));
  const outcomes = indices.map((index) => column.outcome?.[index] ?? "");
  return {
    type: "scatter",
    mode: chosen.x === "toolchain" ? "markers" : "lines+markers",
    name: escaped(name),
    legendgroup: name,
    showlegend: axis === "y",
    x: indices.map((index) => place(index, chosen)),
    y: median,
    yaxis: axis,
    error_y: errorBars(median, low, high, own, indices.length > 60 ? 0 : 3),
    line: { color: own, width: 1.5 },
    marker: {
      color: outcomes.map((outcome) => (BAD.has(outcome) ? colour("regressed") : own)),
      symbol: outcomes.map((outcome) => SYMBOLS[outcome] ?? "circle"),
      size: outcomes.map((outcome) => (SYMBOLS[outcome] ? 11 : indices.length > 200 ? 4 : 7)),
    },
    text: indices.map((index, number) => (median[number] === null ? "" : hover(index, metric))),
    hovertemplate: "%{text}<extra></extra>",
    customdata: indices,
    cliponaxis: false,
  };
}

const slotOf = (index) => (data.usual[index] ? data.segment[index] : data.traces.length - 1);

// Of names that say machine, harness and weights, what tells them apart.
function telling(names) {
  const split = names.map((name) => (name.includes(", machine ") && !name.startsWith("imported") ? name.split(", ") : null));
  const whole = split.filter(Boolean);
  if (whole.length < 2) return names;
  return names.map((name, slot) => split[slot]?.filter((part) => !whole.every((parts) => parts.includes(part))).join(", ") || name);
}

// One trace for each machine, one for what was imported of a device, and one for builds with other flags. A line ends before
// a run that is broken.
function traces(metric, axis, chosen) {
  const { median } = data.metrics[metric];
  const faults = new Set(data.broken.map(([index]) => index));
  const names = telling(data.traces);
  return data.traces.flatMap((_, slot) => {
    const own = data.runs.flatMap((_, index) => (slotOf(index) === slot && (median[index] !== null || faults.has(index)) ? [index] : []));
    const first = own.find((index) => median[index] !== null);
    if (first === undefined) return [];
    const trace = traceOf(metric, axis, own, names[slot], slot, chosen);
    return data.usual[first] && !sources.has(first) ? trace : { ...trace, mode: "markers", marker: { ...trace.marker, symbol: "circle-open" } };
  });
}

function broken(metric, axis, chosen) {
  if (!data.broken.length) return [];
  const values = data.metrics[metric].low.filter((value) => value !== null);
  const foot = chosen.zero && !chosen.log ? 0 : Math.min(...values) / divisor(metric, chosen);
  return [{
    type: "scatter",
    mode: "markers",
    name: "broken",
    legendgroup: "broken",
    showlegend: axis === "y",
    x: data.broken.map(([index]) => place(index, chosen)),
    y: data.broken.map(() => foot),
    yaxis: axis,
    marker: { symbol: "x", size: 10, color: colour("broken") },
    text: data.broken.map(([index, cause]) => `<b>${escaped(data.labels[data.label[index]])}</b>, ${day(data.times[index])} UTC<br>${escaped(cause)}`),
    hovertemplate: "%{text}<extra></extra>",
    customdata: data.broken.map(([index]) => index),
    cliponaxis: false,
  }];
}

// Nothing that is seen, but an axis is at least as long: of a level that stays it would show the noise of the last digits.
function spans(parts) {
  return ["y", "y2"].flatMap((yref) => {
    const values = parts.filter(({ yaxis }) => yaxis === yref).flatMap(({ y }) => y.filter((value) => value !== null));
    const middle = (Math.min(...values) + Math.max(...values)) / 2;
    return values.length ? [{ type: "rect", xref: "x domain", x0: 0, x1: 1, yref, y0: 0.99 * middle, y1: 1.01 * middle, opacity: 0 }] : [];
  });
}

function shapes(metrics, chosen) {
  return metrics.flatMap((metric, number) => {
    const band = data.bands[metric];
    const yref = number ? "y2" : "y";
    const level = band && band.level / divisor(metric, chosen);
    const across = { xref: "x domain", x0: 0, x1: 1, yref, layer: "below" };
    const own = band
      ? [
          { ...across, type: "rect", y0: data.metrics[metric].better === "higher" ? level * (1 - band.tolerance) : level / (1 - band.tolerance), y1: level, fillcolor: colour("pass"), opacity: 0.1, line: { width: 0 } },
          { ...across, type: "line", y0: level, y1: level, line: { color: colour("pass"), width: 1, dash: "dot" } },
        ]
      : [];
    const steps = data.steps
      .filter(([, name]) => name === metric)
      .map(([index]) => ({ type: "line", x0: place(index, chosen), x1: place(index, chosen), yref: `${yref} domain`, y0: 0, y1: 1, line: { color: colour("inconclusive"), width: 1, dash: "dash" } }));
    return [...own, ...steps];
  });
}

// As many labels of toolchains as have room, level where they stand beside each other. Plotly left to find the angle may
// never come to an end: an angle changes the width that it is for.
function ticks(width) {
  const most = Math.max(2, Math.floor(width / TICK));
  const longest = Math.max(...short.map((label) => label.length));
  return { nticks: most, tickangle: Math.min(most, short.length) * longest * LETTER < width - MARGINS ? 0 : -45 };
}

function layout(metrics, parts, width, chosen) {
  const axis = (number, domain) => valueAxis(number ? "yaxis2" : "yaxis", data.metrics[metrics[number]], domain, chosen, `of the ${standard(chosen)}`);
  const two = metrics.length === 2;
  return layoutOf({
    height: two ? 560 : 360,
    shapes: [...spans(parts), ...shapes(metrics, chosen)],
    xaxis: {
      ...axisOf("xaxis"),
      type: { time: "date", run: "linear", toolchain: "category" }[chosen.x],
      categoryorder: "array",
      categoryarray: short,
      ...(chosen.x === "toolchain" ? ticks(width) : {}),
      anchor: two ? "y2" : "y",
      title: chosen.x === "run" ? { text: "runs, oldest first" } : undefined,
    },
    yaxis: axis(0, two ? [0.54, 1] : [0, 1]),
    ...(two ? { yaxis2: axis(1, [0, 0.46]) } : {}),
  });
}

// What values are relative to: of a chart with two metrics both to the same.
const standard = (chosen) => (hasReference(chosen) ? "reference" : "first run");

function figure(width) {
  const chosen = state();
  const metrics = metricsOf(chosen);
  form.querySelector(".standard").textContent = standard(chosen);
  short = shortened(data.labels, width < NARROW ? 14 : 24);
  const parts = metrics.flatMap((metric, number) => {
    const axis = number ? "y2" : "y";
    return [...traces(metric, axis, chosen), ...broken(metric, axis, chosen)];
  });
  return [parts, layout(metrics, parts, width, chosen)];
}

function chosen() {
  const pairs = Object.entries(state()).filter(([name, value]) => value && !(name === "show" && value === "rates") && !(name === "x" && value === "time"));
  return new URLSearchParams(pairs.map(([name, value]) => [name, value === true ? "1" : value]));
}

function restore() {
  const kept = given();
  form.elements.show.value = [...form.elements.show.options].some(({ value }) => value === kept.get("show")) ? kept.get("show") : "rates";
  form.elements.x.value = ["run", "toolchain"].includes(kept.get("x")) ? kept.get("x") : "time";
  for (const name of ["log", "zero", "relative"]) form.elements[name].checked = kept.has(name);
}

// What the columns of the table say of a run: its toolchain, flags, machine and harness.
const told = (index) => [data.labels[data.label[index]], data.builds[data.build[index]], data.machines[data.machine[index]], data.harnesses[data.harness[index]]];

// What is shown, in the columns of the file of all values, as far as the chart knows them.
function rows() {
  const chosen = state();
  const faults = new Map(data.broken);
  const names = telling(data.traces);
  const head = ["run", "recorded_at", "toolchain", "flags", "machine", "harness", "metric", "median", "low", "high", "replicates", "verdict", "failure"];
  const lines = data.runs.flatMap((run, index) => {
    const place = { time: day(data.times[index]), run: index, toolchain: data.label[index] }[chosen.x];
    if (!inRange(place) || isHidden(faults.has(index) ? "broken" : names[slotOf(index)])) return [];
    const about = [run, new Date(data.times[index] * 1000).toISOString(), ...told(index)];
    if (faults.has(index)) return [[...about, "", "", "", "", 0, "broken", faults.get(index)]];
    return metricsOf(chosen).flatMap((name) => {
      const { median, low, high, count, outcome } = data.metrics[name];
      return median[index] === null ? [] : [[...about, name, median[index], low[index], high[index], count[index], outcome?.[index] ?? "", ""]];
    });
  });
  return [head, ...lines];
}

function start() {
  for (const [index, source] of data.imported) sources.set(index, source);
  for (const [name, { text }] of Object.entries(data.metrics)) texts.set(name, new Map(text));
  for (const [name, column] of Object.entries(data.metrics)) {
    if (!RATES.includes(name)) form.elements.show.add(new Option(column.label.toLowerCase(), name));
  }
  if (!RATES.some((name) => data.metrics[name])) return;
  const name = `${data.runner}-${data.case.replaceAll("/", "-")}`;
  const title = () => [data.case, data.runner, ...(state().show === "rates" ? [] : [data.metrics[state().show].label])].join(" · ");
  const about = { runner: data.runner, case: data.case };
  const { made } = present({ form, chart, figure, restore, chosen, name, title, about, rows });
  made.then(() => {
    chart.on("plotly_click", ({ points }) => {
      const index = points[0].customdata;
      if (data.pages.includes(index)) location.href = `${chart.dataset.runs}${encodeURIComponent(data.runs[index])}.html`;
    });
  });
}
