// What all charts share: the style sheet's colours, a Plotly layout in them, the state in the address, and buttons.
"use strict";

const SLOTS = 8;
const RATES = ["prefill_tokens_per_s", "decode_tokens_per_s"];
// The buttons are named one by one: Plotly's own set has one that uploads the chart.
const CONFIG = { displaylogo: false, responsive: true, doubleClick: "autosize", modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "autoScale2d"]] };
// Under what name the address keeps the range of an axis that was zoomed into.
const ZOOMS = { xaxis: "range", yaxis: "yrange", yaxis2: "y2range" };
// Fields that give a metric another scale.
const SCALES = ["show", "log", "zero", "relative"];
// What an axis shows where it is not a metric's own unit.
const UNITS = { bytes: { unit: "GiB", size: 2 ** 30 }, fraction: { unit: "%", size: 0.01 } };
const PICTURE = { width: 1200, scale: 2 };
const NARROW = 600;

// A name of a colour has one value for light and one for dark: an element tells which one holds.
const probe = document.body.appendChild(document.createElement("span"));
probe.hidden = true;

function colour(name) {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const slotColour = (slot) => colour(`series-${(slot % SLOTS) + 1}`);
const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const shown = (value, unit) => (unit === "fraction" ? `${(value * 100).toPrecision(3)} %` : unit === "bytes" ? `${(value / 2 ** 30).toPrecision(3)} GiB` : `${value.toLocaleString("en", { maximumSignificantDigits: 5 })} ${unit}`);

const unitOnAxis = ({ unit }) => UNITS[unit] ?? { unit, size: 1 };

// The range of an axis stands in the address alone, so that another scale never meets one of before.
const axisOf = (name) => ({ gridcolor: colour("rule"), linecolor: colour("rule-strong"), zerolinecolor: colour("rule-strong"), automargin: true, range: zoomed(name) });

// A metric's axis, of `relative` charts as a share of what `first` names.
const valueAxis = (name, column, domain, chosen, first) => ({
  ...axisOf(name),
  domain,
  type: chosen.log ? "log" : "linear",
  rangemode: chosen.zero ? "tozero" : "normal",
  title: { text: `${column.label.replace(" rate", "")}, ${chosen.relative ? first : unitOnAxis(column).unit}` },
  tickformat: chosen.relative ? ".1%" : undefined,
});

const errorBars = (median, low, high, own, width) => ({
  type: "data",
  symmetric: false,
  array: median.map((value, index) => high[index] - value),
  arrayminus: median.map((value, index) => value - low[index]),
  color: own,
  thickness: 1,
  width,
});

function layoutOf(own) {
  return {
    margin: { l: 64, r: 24, t: 16, b: 56 },
    hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("rule-strong"), font: { color: colour("text") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text"), uirevision: "kept" },
    // Above the plot: below it are the labels of the axis, however long.
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, tracegroupgap: 0 },
    ...own,
  };
}

const given = () => new URLSearchParams(location.hash.slice(1));

function keep(state) {
  const text = state.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function zoomed(axis) {
  const range = given().get(ZOOMS[axis])?.split("..");
  return range?.length === 2 ? range : undefined;
}

// Whether the axis from left to right shows that place on it; a date is a text.
function inRange(place) {
  const [from, to] = zoomed("xaxis") ?? [];
  return from === undefined || (typeof place === "string" ? from <= place && place <= to : Number(from) <= place && place <= Number(to));
}

const isHidden = (name) => given().getAll("hidden").includes(name);

// What is chosen in the form, with the zoom and the hidden traces of before, but for ranges that the changed field made void.
function keepChosen(chosen, changed) {
  const before = given();
  const isVoid = { xaxis: changed === "x", yaxis: SCALES.includes(changed), yaxis2: SCALES.includes(changed) };
  for (const [axis, name] of Object.entries(ZOOMS)) if (before.has(name) && !isVoid[axis]) chosen.set(name, before.get(name));
  for (const name of before.getAll("hidden")) chosen.append("hidden", name);
  keep(chosen);
}

// Plotly has set the ranges that a visitor zoomed into by then.
function keepZoom(chart) {
  const kept = given();
  const written = (value) => (typeof value === "number" ? Number(value.toPrecision(7)) : value);
  for (const [axis, name] of Object.entries(ZOOMS)) {
    const { autorange, range } = chart.layout[axis] ?? {};
    if (range && !autorange) kept.set(name, range.map(written).join(".."));
    else kept.delete(name);
  }
  keep(kept);
}

function keepHidden(chart) {
  const kept = given();
  kept.delete("hidden");
  for (const name of new Set(chart.data.filter(({ visible }) => visible === "legendonly").map(({ legendgroup }) => legendgroup))) kept.append("hidden", name);
  keep(kept);
}

// What `draw` returns, in the colours of the light theme, whatever the page is in.
function inLight(draw) {
  probe.style.colorScheme = "light";
  const drawn = draw();
  probe.style.colorScheme = "";
  return drawn;
}

// A picture stands alone: on a ground of its own, under the name of what it shows, which its legend is headed with.
function picture(figure, title) {
  const [traces, { legend, ...layout }] = inLight(() => figure(PICTURE.width));
  const named = { ...legend, title: { text: `<b>${escaped(title)}</b>`, side: "top", font: { size: 16 } } };
  return {
    data: traces.filter(({ legendgroup }) => !isHidden(legendgroup)),
    layout: { ...layout, legend: named, showlegend: true, paper_bgcolor: "#ffffff", plot_bgcolor: "#ffffff" },
  };
}

// Draws a chart for the first time, and lets it be drawn anew, in other colours, and saved. `about` names what it shows for
// the files, `title` for a picture; `prepare` ends once all that was chosen is there.
function present({ form, chart, figure, restore, chosen, name, title, about, rows, prepare = async () => {} }) {
  const react = () => {
    const [traces, layout] = figure(chart.clientWidth);
    return Plotly.react(chart, traces.map((trace) => (isHidden(trace.legendgroup) ? { ...trace, visible: "legendonly" } : trace)), layout, CONFIG);
  };
  const draw = () => prepare().then(react);
  const savePicture = () => Plotly.downloadImage(picture(figure, title()), { ...PICTURE, format: "png", height: chart.layout.height, filename: name });
  const objects = ([head, ...lines]) => lines.map((line) => Object.fromEntries(head.map((column, place) => [column, line[place] === "" ? null : line[place]])));
  form.hidden = false;
  restore();
  // Plotly takes the width of what it draws into, which must therefore be shown by then.
  document.documentElement.classList.add("drawn");
  const made = react().then(() => {
    chart.on("plotly_relayout", () => keepZoom(chart));
    chart.on("plotly_restyle", () => keepHidden(chart));
    document.documentElement.classList.add("ready");
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", ({ target }) => {
    keepChosen(chosen(), target.name);
    draw();
  });
  form.elements.png.addEventListener("click", savePicture);
  form.elements.csv.addEventListener("click", () => save(`${name}.csv`, "text/csv", csv(rows())));
  form.elements.json.addEventListener("click", () => save(`${name}.json`, "application/json", JSON.stringify({ ...about, values: objects(rows()) })));
  addEventListener("hashchange", () => {
    restore();
    draw();
  });
  addEventListener("theme", draw);
  return { draw, made };
}
