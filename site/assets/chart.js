// What all charts share: the style sheet's colours, a Plotly layout in them, the state in the address, and buttons.
"use strict";

const SLOTS = 8;
const RATES = ["prefill_tokens_per_s", "decode_tokens_per_s"];
// The buttons are named one by one: Plotly's own set has one that uploads the chart.
const CONFIG = { displaylogo: false, responsive: true, modeBarButtons: [["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "autoScale2d"]] };

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

const axisLines = () => ({ gridcolor: colour("rule"), linecolor: colour("rule-strong"), zerolinecolor: colour("rule-strong"), automargin: true });

// A metric's axis, of `relative` charts as a share of what `first` names.
const valueAxis = (column, domain, chosen, first) => ({
  ...axisLines(),
  domain,
  type: chosen.log ? "log" : "linear",
  rangemode: chosen.zero ? "tozero" : "normal",
  title: { text: `${column.label.replace(" rate", "")}, ${chosen.relative ? first : column.unit}` },
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
    margin: { l: 72, r: 24, t: 16, b: 40 },
    hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("text") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: { bgcolor: colour("surface"), bordercolor: colour("rule-strong"), font: { color: colour("text") }, align: "left" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text") },
    legend: { orientation: "h", y: -0.1, yanchor: "top", x: 0 },
    ...own,
  };
}

const given = () => new URLSearchParams(location.hash.slice(1));

function keep(state) {
  const text = state.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

// Draws a chart for the first time, and lets it be drawn anew, in other colours, and saved.
function present({ form, chart, figure, restore, name, rows, data }) {
  const draw = () => Plotly.react(chart, ...figure(), CONFIG);
  form.hidden = false;
  restore();
  // Plotly takes the width of what it draws into, which must therefore be shown by then.
  document.documentElement.classList.add("drawn");
  const made = draw().then(() => document.documentElement.classList.add("ready"));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.png.addEventListener("click", () => Plotly.downloadImage(chart, { format: "png", scale: 2, filename: name }));
  form.elements.csv.addEventListener("click", () => save(`${name}.csv`, "text/csv", csv(rows())));
  form.elements.json.addEventListener("click", () => save(`${name}.json`, "application/json", JSON.stringify(data)));
  addEventListener("hashchange", () => { restore(); draw(); });
  addEventListener("theme", draw);
  return { draw, made };
}
