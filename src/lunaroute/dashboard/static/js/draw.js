// Drawing one chart, and the table behind it.
import { spanAddress } from "./filter.js";
import { number } from "./numbers.js";
import { visit } from "./visit.js";

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
// uPlot is no module; whoever draws waits for it.
let isLoaded = null;
export function library() {
  return isLoaded ??= new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = new URL("../vendor/uPlot.iife.min.js", import.meta.url);
    script.onload = loaded; script.onerror = () => failed(new Error("the charts cannot be loaded"));
    document.head.append(script);
  });
}
const FONT = "11px Inter, system-ui, sans-serif";
const MOST_LINES = 400;

function axes(unit, isTime, height) {
  const grid = { stroke: color("line"), width: 1 }, stroke = color("faint");
  const told = (one) => one === null ? "" : one === 0 ? "0" : number[unit](one);
  return [
    { stroke, font: FONT, grid: { show: false }, ticks: { show: false }, size: 26, gap: 4 },
    { stroke, font: FONT, grid, ticks: { show: false }, size: height < 100 ? 40 : 56, gap: 6, values: (_, ticks) => ticks.map(told), space: height < 100 ? 26 : 40 },
  ];
}

function stack(data) {
  // Drawn from the highest sum down, so that each colour shows its own part.
  const sums = [];
  data.forEach((values, n) => sums.push(values.map((value, at) => (value || 0) + (n ? sums[n - 1][at] : 0))));
  return sums;
}

// What a press asks for, and a drag over times.
function picks(options, xs) {
  const { addressOf, isTime, step } = options;
  if (addressOf) return { ready: [(plot) => plot.over.addEventListener("click", () => { const at = plot.cursor.idx; if (Number.isInteger(at)) visit(addressOf(xs[at])); })] };
  if (!step || !isTime) return {};
  const go = (from, to) => { const address = spanAddress(from, to + step, step); if (address) visit(address); };
  return {
    setSelect: [(plot) => {
      const { left, width } = plot.select, chosen = xs.filter((at) => { const x = plot.valToPos(at, "x"); return x >= left && x <= left + width; });
      if (width > 4 && chosen.length) go(chosen[0], chosen[chosen.length - 1]);
    }],
    ready: [(plot) => plot.over.addEventListener("click", () => { const at = plot.cursor.idx; if (Number.isInteger(at)) go(xs[at], xs[at]); })],
  };
}

export function draw(element, xs, series, given) {
  const options = { isTime: true, ...given }, { unit, isStacked, isBars, height, isTime, xValues } = options;
  element.replaceChildren();
  if (!xs.length || !series.some((one) => one.values.some((value) => value))) {
    const told = document.createElement("p");
    told.className = "told"; told.textContent = "Nothing in this span of time";
    element.append(told);
    showTable(element, null);
    return;
  }
  const values = series.map((one) => one.values), shown = isStacked ? stack(values) : values;
  const order = isStacked ? shown.map((_, n) => shown.length - 1 - n) : shown.map((_, n) => n);
  const bars = uPlot.paths.bars({ size: [0.72, 46], radius: 0.12 });
  const margin = (options.step || (isTime ? 86400 : 1)) * 0.6;
  // Around a single time uPlot would show years.
  const spread = (_, low, high) => [low - margin, (xs.length < 2 ? low : high) + margin];
  const config = {
    width: element.clientWidth, height, padding: [10, isBars ? 8 : 26, 0, 0], tzDate: (at) => options.isUtc ? uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : new Date(at * 1000),
    cursor: { points: { size: 6 }, drag: { x: isTime, y: false, setScale: false }, y: false },
    hooks: picks(options, xs),
    legend: { live: true, markers: { width: 0, fill: (_, n) => color(series[order[n - 1]].color) } },
    scales: { x: { time: isTime, range: isBars || xs.length < 2 ? spread : undefined, ...(options.scaleX || {}) }, y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.06 : 1], ...(options.scaleY || {}) } },
    axes: axes(unit, isTime, height),
    series: [{ value: (_, at) => at === null ? "" : xValues ? xValues(at) : options.tellX(at) }, ...order.map((n) => ({
      label: series[n].label, stroke: color(series[n].color), width: isBars ? 0 : 1.8, fill: isBars || series[n].isFilled ? color(series[n].color) + (isBars ? "" : "22") : undefined,
      paths: isBars ? bars : undefined, points: { show: !isBars && xs.length < 3 }, spanGaps: true,
      value: (_, __, ___, at) => at === null || at === undefined ? "" : number[unit](values[n][at]),
    }))],
  };
  config.axes[0].values = (_, ticks) => ticks.map(xValues || options.tick);
  if (isTime) { config.axes[0].space = 64; config.axes[0].incrs = options.step === 86400 ? [1, 2, 3, 5, 7, 14, 28, 56, 112].map((days) => days * 86400) : [1, 2, 3, 4, 6, 12, 24, 48].map((hours) => hours * 3600); }
  element.plot = new uPlot(config, [xs, ...order.map((n) => shown[n])], element);
  // The legend names them from the largest on, whatever is painted first.
  element.querySelectorAll(".u-legend .u-series").forEach((row, n) => { if (n) row.style.order = String(order[n - 1]); });
  element.classList.toggle("picks", Boolean(options.addressOf || isTime && options.step && spanAddress(0, 0, options.step)));
  const addressAt = options.addressOf || ((at) => isTime && options.step ? spanAddress(at, at + options.step, options.step) : null);
  showTable(element, { xs, series, unit, addressAt, told: xValues || options.tellX });
}

// ---- the table behind a chart: for those who do not see it, and for those who want the numbers
function showTable(element, data) {
  const button = element.parentElement.querySelector(":scope > [data-as-table]") || tableButton(element);
  element.tableData = data;
  button.hidden = !data;
  const frame = element.nextElementSibling;
  if (frame?.matches(".chart-table")) { if (data && !frame.hidden) fill(frame, data); else frame.hidden = true; }
}
function tableButton(element) {
  const button = document.createElement("button");
  button.type = "button"; button.className = "as-table"; button.textContent = "Table"; button.dataset.asTable = "";
  button.setAttribute("aria-expanded", "false");
  button.setAttribute("aria-label", `Table: ${element.getAttribute("aria-label") || "the chart's numbers"}`);
  button.addEventListener("click", () => {
    let frame = element.nextElementSibling;
    if (!frame?.matches(".chart-table")) { frame = document.createElement("div"); frame.className = "chart-table"; frame.tabIndex = 0; frame.hidden = true; element.after(frame); }
    frame.hidden = !frame.hidden;
    button.setAttribute("aria-expanded", String(!frame.hidden));
    if (!frame.hidden) fill(frame, element.tableData);
  });
  element.before(button);
  return button;
}
function fill(frame, { xs, series, unit, addressAt, told }) {
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  ["", ...series.map((one) => one.label)].forEach((name) => { const cell = document.createElement("th"); cell.scope = "col"; cell.textContent = name; head.append(cell); });
  xs.map((_, n) => n).reverse().filter((n) => series.some((one) => one.values[n])).slice(0, MOST_LINES).forEach((n) => {
    const line = body.insertRow(), name = document.createElement("th"), address = addressAt(xs[n]);
    name.scope = "row";
    if (address) { const link = document.createElement("a"); link.href = address; link.textContent = told(xs[n]); name.append(link); } else name.textContent = told(xs[n]);
    line.append(name);
    series.forEach((one) => { line.insertCell().textContent = number[unit](one.values[n]); });
  });
  table.className = "plain";
  frame.replaceChildren(table);
}
