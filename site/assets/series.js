// Draws a series with Plotly from the columns that its data script hands over; all that is chosen stands in the address.
"use strict";

const form = document.querySelector(".toolbar");
const chart = document.querySelector(".chart");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const SLOTS = 8;
const RATES = ["prefill_tokens_per_s", "decode_tokens_per_s"];
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

const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const day = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ");
const shown = (value, unit) => (unit === "fraction" ? `${(value * 100).toPrecision(3)} %` : unit === "bytes" ? `${(value / 2 ** 30).toPrecision(3)} GiB` : `${value.toLocaleString("en", { maximumSignificantDigits: 5 })} ${unit}`);

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
  return [
    `<b>${escaped(data.labels[data.label[index]])}</b>, ${day(data.times[index])} UTC`,
    `${shown(column.median[index], column.unit)} (${shown(column.low[index], column.unit)} to ${shown(column.high[index], column.unit)}, ${column.count[index]} replicates)`,
    ...(text ? [escaped(text)] : column.outcome?.[index] ? [column.outcome[index]] : []),
  ].join("<br>");
}

function traceOf(metric, axis, indices, name, slot, chosen) {
  const column = data.metrics[metric];
  const unit = unitOf(metric, chosen);
  const own = colour(`series-${(slot % SLOTS) + 1}`);
  const outcomes = indices.map((index) => column.outcome?.[index] ?? "");
  return {
    type: "scatter",
    mode: chosen.x === "toolchain" ? "markers" : "lines+markers",
    name: escaped(name),
    legendgroup: name,
    showlegend: axis === "y",
    x: indices.map((index) => place(index, chosen)),
    y: indices.map((index) => column.median[index] / unit),
    yaxis: axis,
    error_y: {
      type: "data",
      symmetric: false,
      array: indices.map((index) => (column.high[index] - column.median[index]) / unit),
      arrayminus: indices.map((index) => (column.median[index] - column.low[index]) / unit),
      color: own,
      thickness: 1,
      width: indices.length > 60 ? 0 : 3,
    },
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

// One trace for each machine, and one for builds with other flags than the case is about.
function traces(metric, axis, chosen) {
  const measured = data.metrics[metric].median.flatMap((value, index) => (value === null ? [] : [index]));
  const groups = data.segments.map((segment, slot) => ({
    name: data.segments.length === 1 ? segment.device : `${segment.device}, machine ${segment.machine}, harness ${segment.harness}, weights ${segment.model}`,
    slot,
    indices: measured.filter((index) => data.usual[index] && data.segment[index] === slot),
  }));
  const others = measured.filter((index) => !data.usual[index]);
  groups.push({ name: "other build flags", slot: data.segments.length, indices: others });
  return groups
    .filter((group) => group.indices.length)
    .map((group) => {
      const trace = traceOf(metric, axis, group.indices, group.name, group.slot, chosen);
      return group.slot === data.segments.length ? { ...trace, mode: "markers", marker: { ...trace.marker, symbol: "circle-open" } } : trace;
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
  const lines = { gridcolor: colour("rule"), linecolor: colour("rule-strong"), zerolinecolor: colour("rule-strong"), automargin: true };
  const axis = (metric, domain) => ({
    ...lines,
    domain,
    type: chosen.log ? "log" : "linear",
    rangemode: chosen.zero ? "tozero" : "normal",
    title: { text: `${data.metrics[metric].label.replace(" rate", "")}, ${chosen.relative ? "of the reference" : data.metrics[metric].unit}` },
    tickformat: chosen.relative ? ".1%" : undefined,
  });
  const two = metrics.length === 2;
  return {
    height: two ? 560 : 360,
    margin: { l: 72, r: 24, t: 16, b: 40 },
    hovermode: "closest",
    uirevision: chosen.x + chosen.show,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("rule-strong"), font: { color: colour("text") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text") },
    legend: { orientation: "h", y: -0.1, yanchor: "top", x: 0 },
    shapes: shapes(metrics, chosen),
    xaxis: {
      ...lines,
      type: { time: "date", run: "linear", toolchain: "category" }[chosen.x],
      categoryorder: "array",
      categoryarray: data.labels.map(escaped),
      anchor: two ? "y2" : "y",
      title: chosen.x === "run" ? { text: "runs, oldest first" } : undefined,
      range: rangeOf(),
    },
    yaxis: axis(metrics[0], two ? [0.54, 1] : [0, 1]),
    ...(two ? { yaxis2: axis(metrics[1], [0, 0.46]) } : {}),
  };
}

function rangeOf() {
  const given = new URLSearchParams(location.hash.slice(1)).get("range");
  return given ? given.split("..") : undefined;
}

// The buttons are named one by one: Plotly's own set has one that uploads the chart.
const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "autoScale2d"]] };

function figure() {
  const chosen = state();
  const metrics = metricsOf(chosen);
  const parts = metrics.flatMap((metric, number) => {
    const axis = number ? "y2" : "y";
    return [...traces(metric, axis, chosen), ...broken(metric, axis, chosen)];
  });
  return [parts, layout(metrics, chosen)];
}

const draw = () => Plotly.react(chart, ...figure(), CONFIG);

function remember(range) {
  const chosen = state();
  const pairs = Object.entries(chosen).filter(([name, value]) => value && !(name === "show" && value === "rates") && !(name === "x" && value === "time"));
  const kept = new URLSearchParams(pairs.map(([name, value]) => [name, value === true ? "1" : value]));
  if (range) kept.set("range", range);
  const text = kept.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function restore() {
  const given = new URLSearchParams(location.hash.slice(1));
  form.elements.show.value = Object.hasOwn(data.metrics, given.get("show")) ? given.get("show") : "rates";
  form.elements.x.value = ["run", "toolchain"].includes(given.get("x")) ? given.get("x") : "time";
  for (const name of ["log", "zero", "relative"]) form.elements[name].checked = given.has(name);
}

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function rows() {
  // What a spreadsheet would take for a formula is text.
  const plain = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
  const quoted = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  const metrics = Object.keys(data.metrics);
  const head = ["run", "recorded_at", "toolchain", ...metrics.flatMap((name) => [name, `${name}_low`, `${name}_high`])];
  const lines = data.runs.map((run, index) => [
    run,
    new Date(data.times[index] * 1000).toISOString(),
    data.labels[data.label[index]],
    ...metrics.flatMap((name) => ["median", "low", "high"].map((part) => data.metrics[name][part][index] ?? "")),
  ]);
  return [head, ...lines].map((line) => line.map(plain).map(quoted).join(",")).join("\n") + "\n";
}

function start() {
  for (const column of Object.values(data.metrics)) column.texts = column.text && new Map(column.text);
  for (const [name, column] of Object.entries(data.metrics)) {
    if (!RATES.includes(name)) form.elements.show.add(new Option(column.label.toLowerCase(), name));
  }
  if (!RATES.some((name) => data.metrics[name])) return;
  const name = `${data.runner}-${data.case.replaceAll("/", "-")}`;
  form.hidden = false;
  restore();
  const made = figure();
  // Plotly takes the width of what it draws into, which must therefore be shown by then.
  document.documentElement.classList.add("drawn");
  Plotly.react(chart, ...made, CONFIG).then(() => {
    document.documentElement.classList.add("ready");
    chart.on("plotly_click", ({ points }) => {
      const index = points[0].customdata;
      if (data.pages.includes(index)) location.href = `${chart.dataset.runs}${encodeURIComponent(data.runs[index])}.html`;
    });
    chart.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] !== undefined) remember(`${change["xaxis.range[0]"]}..${change["xaxis.range[1]"]}`);
      else if (change["xaxis.autorange"]) remember();
    });
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", ({ target }) => {
    remember(target.name === "x" ? undefined : new URLSearchParams(location.hash.slice(1)).get("range"));
    draw();
  });
  form.elements.png.addEventListener("click", () => Plotly.downloadImage(chart, { format: "png", scale: 2, filename: name }));
  form.elements.csv.addEventListener("click", () => save(`${name}.csv`, "text/csv", rows()));
  form.elements.json.addEventListener("click", () => save(`${name}.json`, "application/json", JSON.stringify(data)));
  addEventListener("hashchange", () => { restore(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
