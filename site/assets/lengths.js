// Draws rates over the length of the prompt with Plotly; all that is chosen stands in the address.
"use strict";

const form = document.querySelector(".toolbar");
const chart = document.querySelector(".chart");
const MOST_TICKS = 6;
const beside = new Map();
let data = null;

globalThis.regressLengths = hand;

const fields = (name) => [...form.querySelectorAll(`input[name="${name}"]`)];
const checked = (name) => fields(name).filter((field) => field.checked);
const state = () => Object.fromEntries(["log", "zero", "relative"].map((name) => [name, form.elements[name].checked]));

// The toolchains that are chosen, and of each other runner its newest one.
function curves() {
  const own = checked("toolchain").map(({ value }) => {
    const place = data.toolchains.indexOf(value);
    return { name: value, of: data, place, slot: place, dash: "solid" };
  });
  const others = checked("beside").flatMap(({ value }, number) => {
    const of = beside.get(value);
    const place = of ? of.toolchains.length - 1 : -1;
    return place < 0 ? [] : [{ name: `${value}, ${of.toolchains[place]}`, of, place, slot: data.toolchains.length + number, dash: "dash" }];
  });
  return [...own, ...others];
}

const workload = (of, index) => `p${of.prompt_tokens[index]}+${of.new_tokens[index]}`;

// What a relative chart divides by: the first toolchain's value of the same workload.
function unitOf(metric, curve, index, first, chosen) {
  if (!chosen.relative) return 1;
  const there = first.of.prompt_tokens.findIndex((_, place) => workload(first.of, place) === workload(curve.of, index));
  return first.of.metrics[metric].median[first.place][there] ?? NaN;
}

function hover(metric, curve, index) {
  const [{ unit }, rows, flags] = [curve.of.metrics[metric], rowsOf(metric, curve), curve.of.flags[index]];
  return [
    `<b>${escaped(curve.name)}</b>, ${curve.of.prompt_tokens[index].toLocaleString("en")} tokens and ${curve.of.new_tokens[index]} new`,
    ...(flags ? [`built with ${escaped(flags)}`] : []),
    `${shown(rows.median[index], unit)} (${shown(rows.low[index], unit)} to ${shown(rows.high[index], unit)}, ${rows.count[index]} replicates)`,
    `${new Date(curve.of.times[curve.place][index] * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`,
  ].join("<br>");
}

const rowsOf = (metric, curve) => Object.fromEntries(["median", "low", "high", "count"].map((part) => [part, curve.of.metrics[metric][part][curve.place]]));

function traceOf(metric, axis, curve, first, chosen) {
  const rows = rowsOf(metric, curve);
  const places = rows.median.flatMap((value, index) => (value === null || Number.isNaN(unitOf(metric, curve, index, first, chosen)) ? [] : [index]));
  const [median, low, high] = ["median", "low", "high"].map((part) => places.map((index) => rows[part][index] / unitOf(metric, curve, index, first, chosen)));
  const own = slotColour(curve.slot);
  return {
    type: "scatter",
    mode: "lines+markers",
    name: escaped(curve.name),
    legendgroup: curve.name,
    showlegend: axis === "y",
    x: places.map((index) => curve.of.prompt_tokens[index]),
    y: median,
    yaxis: axis,
    error_y: errorBars(median, low, high, own, 3),
    line: { color: own, width: 1.5, dash: curve.dash },
    marker: { color: own, size: 7 },
    text: places.map((index) => hover(metric, curve, index)),
    hovertemplate: "%{text}<extra></extra>",
    customdata: places.map((index) => `${curve.of.runner}/${`${curve.of.name}/${workload(curve.of, index)}`.replaceAll("/", "~")}`),
    cliponaxis: false,
  };
}

// Powers of two, as many as stand beside each other.
function ticks(found) {
  const tokens = found.flatMap((curve) => curve.of.prompt_tokens);
  if (!tokens.length) return [];
  const [first, last] = [Math.min(...tokens), Math.max(...tokens)].map((each) => Math.round(Math.log2(each)));
  if (Math.max(...tokens) < 2 * Math.min(...tokens)) return [...new Set([Math.min(...tokens), Math.max(...tokens)])];
  const step = Math.ceil((last - first + 1) / MOST_TICKS);
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, number) => 2 ** (first + step * number));
}

function figure() {
  const [chosen, found] = [state(), curves()];
  const parts = RATES.flatMap((metric, number) => found.map((curve) => traceOf(metric, number ? "y2" : "y", curve, found[0], chosen)));
  const tokens = ticks(found);
  const layout = layoutOf({
    height: 560,
    xaxis: { ...axisOf("xaxis"), type: "log", anchor: "y2", title: { text: "tokens of the prompt" }, tickvals: tokens, ticktext: tokens.map((each) => each.toLocaleString("en")) },
    yaxis: valueAxis("yaxis", data.metrics[RATES[0]], [0.54, 1], chosen, "of the first"),
    yaxis2: valueAxis("yaxis2", data.metrics[RATES[1]], [0, 0.46], chosen, "of the first"),
  });
  return [parts, layout];
}

function chosen() {
  const kept = new URLSearchParams();
  const toolchains = fields("toolchain");
  if (toolchains.some((field) => field.checked !== field.defaultChecked)) {
    const names = checked("toolchain").map((field) => field.value);
    for (const name of names.length ? names : [""]) kept.append("toolchain", name);
  }
  for (const field of checked("beside")) kept.append("beside", field.value);
  for (const [name, value] of Object.entries(state())) if (value) kept.set(name, "1");
  return kept;
}

function restore() {
  const kept = given();
  for (const field of fields("toolchain")) field.checked = kept.has("toolchain") ? kept.getAll("toolchain").includes(field.value) : field.defaultChecked;
  for (const field of fields("beside")) field.checked = kept.getAll("beside").includes(field.value);
  for (const name of ["log", "zero", "relative"]) form.elements[name].checked = kept.has(name);
}

// Those that are chosen and not there yet.
const others = () => Promise.allSettled(checked("beside").map(async (field) => beside.set(field.value, await load(field.dataset.src))));

function rows() {
  const parts = ["median", "low", "high"];
  const head = ["runner", "build", "prompt_tokens", "new_tokens", "flags", "toolchain", "recorded_at", ...RATES.flatMap((name) => [name, `${name}_low`, `${name}_high`])];
  const lines = curves().flatMap(({ name, of, place }) =>
    of.prompt_tokens.flatMap((tokens, index) =>
      of.times[place][index] === null || isHidden(name) || !inRange(Math.log10(tokens))
        ? []
        : [[of.runner, of.name, tokens, of.new_tokens[index], of.flags[index], of.toolchains[place], new Date(of.times[place][index] * 1000).toISOString(), ...RATES.flatMap((name) => parts.map((part) => of.metrics[name][part][place][index] ?? ""))]],
    ),
  );
  return [head, ...lines];
}

async function start() {
  data = await load(chart.dataset.src);
  if (!data.toolchains.length) return;
  const name = `${data.runner}-${data.name.replaceAll("/", "-")}-lengths`;
  const title = () => `${data.name} over prompt lengths · ${data.runner}`;
  const about = { runner: data.runner, build: data.name };
  const { draw, made } = present({ form, chart, figure, restore, chosen, name, title, about, rows, prepare: others });
  made.then(() => {
    chart.on("plotly_click", ({ points }) => {
      location.href = `${chart.dataset.series}${points[0].customdata.split("/").map(encodeURIComponent).join("/")}.html`;
    });
    return draw();
  });
}

start();
