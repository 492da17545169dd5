// Draws a series with Plotly from the columns that its data script hands over; all that is chosen stands in the address.
"use strict";

const form = document.querySelector(".toolbar");
const chart = document.querySelector(".chart");
const SYMBOLS = { regressed: "triangle-down", improved: "triangle-up", inconclusive: "diamond" };
const BAD = new Set(["regressed", "broken", "missing"]);
let data = null;

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

function place(index, chosen) {
  if (chosen.x === "run") return index;
  if (chosen.x === "toolchain") return escaped(data.labels[data.label[index]]);
  return day(data.times[index]);
}

// What a relative chart divides by: the reference's level, else the first value.
function unitOf(metric, chosen) {
  if (!chosen.relative) return 1;
  return data.bands[metric]?.level ?? data.metrics[metric].median.find((value) => value !== null);
}

function hover(index, metric) {
  const column = data.metrics[metric];
  const text = column.texts?.get(index);
  const source = data.sources.get(index);
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
  const unit = unitOf(metric, chosen);
  const own = slotColour(slot);
  const [median, low, high] = ["median", "low", "high"].map((part) => indices.map((index) => column[part][index] / unit));
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
    text: indices.map((index) => hover(index, metric)),
    hovertemplate: "%{text}<extra></extra>",
    customdata: indices,
    cliponaxis: false,
  };
}

// One trace for each machine, one for what was imported of a device, and one for builds with other flags.
function traces(metric, axis, chosen) {
  const measured = data.metrics[metric].median.flatMap((value, index) => (value === null ? [] : [index]));
  const slotOf = (index) => (data.usual[index] ? data.segment[index] : data.traces.length - 1);
  return data.traces.flatMap((name, slot) => {
    const indices = measured.filter((index) => slotOf(index) === slot);
    if (!indices.length) return [];
    const trace = traceOf(metric, axis, indices, name, slot, chosen);
    return data.usual[indices[0]] && !data.sources.has(indices[0]) ? trace : { ...trace, mode: "markers", marker: { ...trace.marker, symbol: "circle-open" } };
  });
}

function broken(metric, axis, chosen) {
  if (!data.broken.length) return [];
  const values = data.metrics[metric].low.filter((value) => value !== null);
  const foot = chosen.zero && !chosen.log ? 0 : Math.min(...values) / unitOf(metric, chosen);
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

function shapes(metrics, chosen) {
  return metrics.flatMap((metric, number) => {
    const band = data.bands[metric];
    const yref = number ? "y2" : "y";
    const level = band && band.level / unitOf(metric, chosen);
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

function layout(metrics, chosen) {
  const axis = (metric, domain) => valueAxis(data.metrics[metric], domain, chosen, "of the reference");
  const two = metrics.length === 2;
  return layoutOf({
    height: two ? 560 : 360,
    uirevision: chosen.x + chosen.show,
    shapes: shapes(metrics, chosen),
    xaxis: {
      ...axisLines(),
      type: { time: "date", run: "linear", toolchain: "category" }[chosen.x],
      categoryorder: "array",
      categoryarray: data.labels.map(escaped),
      anchor: two ? "y2" : "y",
      title: chosen.x === "run" ? { text: "runs, oldest first" } : undefined,
      range: rangeOf(),
    },
    yaxis: axis(metrics[0], two ? [0.54, 1] : [0, 1]),
    ...(two ? { yaxis2: axis(metrics[1], [0, 0.46]) } : {}),
  });
}

function rangeOf() {
  return given().get("range")?.split("..");
}

function figure() {
  const chosen = state();
  const metrics = metricsOf(chosen);
  const parts = metrics.flatMap((metric, number) => {
    const axis = number ? "y2" : "y";
    return [...traces(metric, axis, chosen), ...broken(metric, axis, chosen)];
  });
  return [parts, layout(metrics, chosen)];
}

function remember(range) {
  const chosen = state();
  const pairs = Object.entries(chosen).filter(([name, value]) => value && !(name === "show" && value === "rates") && !(name === "x" && value === "time"));
  const kept = new URLSearchParams(pairs.map(([name, value]) => [name, value === true ? "1" : value]));
  if (range) kept.set("range", range);
  keep(kept);
}

function restore() {
  const kept = given();
  form.elements.show.value = Object.hasOwn(data.metrics, kept.get("show")) ? kept.get("show") : "rates";
  form.elements.x.value = ["run", "toolchain"].includes(kept.get("x")) ? kept.get("x") : "time";
  for (const name of ["log", "zero", "relative"]) form.elements[name].checked = kept.has(name);
}

function rows() {
  const metrics = Object.keys(data.metrics);
  const head = ["run", "recorded_at", "toolchain", ...metrics.flatMap((name) => [name, `${name}_low`, `${name}_high`])];
  const lines = data.runs.map((run, index) => [
    run,
    new Date(data.times[index] * 1000).toISOString(),
    data.labels[data.label[index]],
    ...metrics.flatMap((name) => ["median", "low", "high"].map((part) => data.metrics[name][part][index] ?? "")),
  ]);
  return [head, ...lines];
}

function start() {
  data.sources = new Map(data.imported);
  for (const column of Object.values(data.metrics)) column.texts = column.text && new Map(column.text);
  for (const [name, column] of Object.entries(data.metrics)) {
    if (!RATES.includes(name)) form.elements.show.add(new Option(column.label.toLowerCase(), name));
  }
  if (!RATES.some((name) => data.metrics[name])) return;
  const name = `${data.runner}-${data.case.replaceAll("/", "-")}`;
  const { draw, made } = present({ form, chart, figure, restore, name, rows, data });
  made.then(() => {
    chart.on("plotly_click", ({ points }) => {
      const index = points[0].customdata;
      if (data.pages.includes(index)) location.href = `${chart.dataset.runs}${encodeURIComponent(data.runs[index])}.html`;
    });
    chart.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] !== undefined) remember(`${change["xaxis.range[0]"]}..${change["xaxis.range[1]"]}`);
      else if (change["xaxis.autorange"]) remember();
    });
  });
  form.addEventListener("change", ({ target }) => {
    remember(target.name === "x" ? undefined : given().get("range"));
    draw();
  });
}
