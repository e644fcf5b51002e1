// Charts over the JSON API. Each says in data-… what it shows; colours are those of the style sheet.
import { number } from "./numbers.js";

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const SERIES = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
const MOST_SERIES = 6;
const drawn = new Map();

const seconds = (row) => Date.parse((row.hour || `${row.day} 00:00:00`).replace(" ", "T") + "Z") / 1000;

function axes(unit, isTime, height) {
  const grid = { stroke: color("line"), width: 1 }, stroke = color("faint"), font = "11px Inter, system-ui, sans-serif";
  return [
    { stroke, font, grid: { show: false }, ticks: { show: false }, size: 26, gap: 4 },
    { stroke, font, grid, ticks: { show: false }, size: height < 100 ? 40 : 56, gap: 6, values: (_, ticks) => ticks.map((one) => one === null ? "" : number[unit](one)), space: height < 100 ? 26 : 40 },
  ];
}

function stack(data) {
  // Drawn from the highest sum down, so that each colour shows its own part.
  const sums = [];
  data.forEach((values, n) => sums.push(values.map((value, at) => (value || 0) + (n ? sums[n - 1][at] : 0))));
  return sums;
}

function draw(element, xs, series, options) {
  const { unit, isStacked, isBars, height, isTime = true, xValues } = options;
  element.replaceChildren();
  if (!xs.length || !series.some((one) => one.values.some((value) => value))) {
    const told = document.createElement("p");
    told.className = "told"; told.textContent = "Nothing in this span of time";
    element.append(told);
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
    cursor: { points: { size: 6 }, drag: { x: true, y: false }, y: false },
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
  const plot = new uPlot(config, [xs, ...order.map((n) => shown[n])], element);
  element.plot = plot;
}

const dayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
const shortDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const shortHour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const hourFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
function timeOptions(element) {
  const isDay = element.dataset.grain === "day";
  return { unit: element.dataset.unit, height: +(element.dataset.height || 220), step: isDay ? 86400 : 3600, isUtc: isDay, tellX: (at) => (isDay ? dayFormat : hourFormat).format(at * 1000), tick: (at) => (isDay ? shortDay : shortHour).format(at * 1000) };
}
function timesOf(rows, step) {
  // Every hour or day between the first and the last, those without traffic too.
  const found = rows.map(seconds), xs = [];
  if (!found.length) return xs;
  for (let at = Math.min(...found); at <= Math.max(...found); at += step) xs.push(at);
  return xs;
}
function along(xs, rows, value) {
  const at = new Map(xs.map((one, n) => [one, n])), values = new Array(xs.length).fill(null);
  rows.forEach((row) => { const n = at.get(seconds(row)); values[n] = (values[n] || 0) + (value(row) || 0); });
  return values;
}

const charts = {
  stack(element, rows) {
    const { field, by } = element.dataset, options = timeOptions(element), xs = timesOf(rows, options.step);
    const sums = new Map();
    rows.forEach((row) => sums.set(by ? row[by] : "Requests", (sums.get(by ? row[by] : "Requests") || 0) + (row[field] || 0)));
    const names = [...sums].sort((a, b) => b[1] - a[1]).map(([name]) => name), first = names.slice(0, MOST_SERIES);
    const series = first.map((name, n) => ({ label: name, color: SERIES[n], values: along(xs, rows.filter((row) => !by || row[by] === name), (row) => row[field]) }));
    if (names.length > MOST_SERIES) series.push({ label: "others", color: "s8", values: along(xs, rows.filter((row) => !first.includes(row[by])), (row) => row[field]) });
    draw(element, xs, series, { ...options, isStacked: true, isBars: true });
  },
  tokens(element, rows) {
    const options = timeOptions(element), xs = timesOf(rows, options.step);
    draw(element, xs, [
      { label: "from cache", color: "cached", values: along(xs, rows, (row) => row.cache_read_tokens) },
      { label: "written", color: "written", values: along(xs, rows, (row) => row.cache_creation_tokens) },
      { label: "fresh", color: "fresh", values: along(xs, rows, (row) => Math.max(0, (row.input_tokens || 0) - (row.cache_read_tokens || 0) - (row.cache_creation_tokens || 0))) },
      { label: "output", color: "output", values: along(xs, rows, (row) => row.output_tokens) },
    ], { ...options, isStacked: true, isBars: true });
  },
  percentiles(element, rows) {
    const options = timeOptions(element), xs = timesOf(rows, options.step);
    draw(element, xs, [
      { label: "first token p50", color: "s2", values: along(xs, rows, (row) => row.ttft.p50_ms) },
      { label: "first token p95", color: "s6", values: along(xs, rows, (row) => row.ttft.p95_ms) },
      { label: "latency p50", color: "s1", values: along(xs, rows, (row) => row.latency.p50_ms) },
      { label: "latency p95", color: "s4", values: along(xs, rows, (row) => row.latency.p95_ms) },
    ], options);
  },
  rates(element, rows) {
    const options = timeOptions(element), xs = timesOf(rows, options.step);
    draw(element, xs, [
      { label: "cache hits", color: "cached", isFilled: true, values: along(xs, rows, (row) => row.input_tokens ? (row.cache_read_tokens || 0) / row.input_tokens : 0) },
      { label: "failed", color: "bad", isFilled: true, values: along(xs, rows, (row) => row.requests ? row.failures / row.requests : 0) },
    ], options);
  },
  rate(element, rows) {
    const options = timeOptions(element), xs = timesOf(rows, options.step);
    const tokens = new Map();
    rows.forEach((row) => tokens.set(row.model, (tokens.get(row.model) || 0) + (row.output_tokens || 0)));
    const names = [...tokens].sort((a, b) => b[1] - a[1]).slice(0, MOST_SERIES).map(([name]) => name);
    draw(element, xs, names.map((name, n) => ({ label: name, color: SERIES[n], values: along(xs, rows.filter((row) => row.model === name), (row) => row.provider_latency_ms ? (row.output_tokens || 0) / row.provider_latency_ms * 1000 : 0).map((value) => value || null) })), options);
  },
  clock(element, rows) {
    const sums = new Array(24).fill(0), counts = new Array(24).fill(0);
    rows.forEach((row) => { if (row.ttft.p50_ms === null) return; const at = new Date(seconds(row) * 1000).getHours(); sums[at] += row.ttft.p50_ms * row.ttft.count; counts[at] += row.ttft.count; });
    const xs = sums.map((_, n) => n), tellX = (at) => `${String(at).padStart(2, "0")}:00`;
    draw(element, xs, [{ label: "first token, mean of hourly medians", color: "s2", values: sums.map((sum, n) => counts[n] ? sum / counts[n] : null) }], { unit: "ms", height: 220, isBars: true, isTime: false, step: 1, xValues: tellX });
  },
  histogram(element, rows) {
    const whole = rows[0];
    const all = whole ? [...whole.latency_buckets, ...whole.ttft_buckets].map(([ms]) => ms) : [];
    if (!all.length) { draw(element, [], [], {}); return; }
    const low = Math.log10(Math.min(...all)), high = Math.log10(Math.max(...all)), bins = 60, width = (high - low) / bins || 1;
    const counted = (buckets) => { const found = new Array(bins + 1).fill(0); buckets.forEach(([ms, count]) => { found[Math.floor((Math.log10(ms) - low) / width)] += count; }); return found; };
    const xs = new Array(bins + 1).fill(0).map((_, n) => 10 ** (low + n * width));
    draw(element, xs, [{ label: "first token", color: "s2", isFilled: true, values: counted(whole.ttft_buckets) }, { label: "latency", color: "s1", isFilled: true, values: counted(whole.latency_buckets) }],
      { unit: "short", height: 220, isTime: false, xValues: (at) => at === null ? "" : number.ms(at), scaleX: { distr: 3 } });
  },
  context(element, rows) {
    const xs = rows.map((_, n) => n + 1), read = (row) => row.cache_read_tokens || 0, written = (row) => row.cache_creation_tokens || 0;
    draw(element, xs, [
      { label: "from cache", color: "cached", values: rows.map(read) }, { label: "written to cache", color: "written", values: rows.map(written) },
      { label: "fresh", color: "fresh", values: rows.map((row) => Math.max(0, (row.input_tokens || 0) - read(row) - written(row))) }, { label: "output", color: "output", values: rows.map((row) => row.output_tokens || 0) },
    ], { unit: "short", height: 300, isStacked: true, isBars: true, isTime: false, step: 1, xValues: (at) => Number.isInteger(at) ? `#${at}` : "" });
  },
  heat(element, rows) {
    const sums = Array.from({ length: 7 }, () => new Array(24).fill(0));
    rows.forEach((row) => { const at = new Date(seconds(row) * 1000); sums[(at.getDay() + 6) % 7][at.getHours()] += row.requests; });
    const most = Math.max(1, ...sums.flat()), days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    const corner = document.createElement("th"); corner.className = "day"; head.append(corner);
    for (let hour = 0; hour < 24; hour++) { const cell = document.createElement("th"); cell.scope = "col"; cell.textContent = hour % 3 ? "" : String(hour); if (hour % 3) cell.setAttribute("aria-label", String(hour)); head.append(cell); }
    corner.setAttribute("aria-label", "Weekday");
    sums.forEach((hours, day) => {
      const line = body.insertRow(), name = document.createElement("th"); name.scope = "row"; name.textContent = days[day]; line.append(name);
      hours.forEach((count, hour) => {
        const box = document.createElement("span"), level = count ? Math.ceil(Math.sqrt(count / most) * 4) : 0;
        box.className = `cell h${level}`; box.title = `${days[day]} ${hour}:00 · ${number.short(count)} requests`;
        const told = document.createElement("span"); told.className = "hidden"; told.textContent = number.short(count); box.append(told);
        line.insertCell().append(box);
      });
    });
    element.replaceChildren(table);
  },
};

async function load(element) {
  const { chart, src } = element.dataset;
  try {
    const answer = await fetch(src);
    if (!answer.ok) throw new Error((await answer.json()).error);
    const rows = await answer.json();
    drawn.set(element, rows);
    charts[chart](element, rows);
  } catch (error) {
    const told = document.createElement("p");
    told.className = "told"; told.textContent = error.message;
    element.replaceChildren(told);
  }
}
function redraw() { drawn.forEach((rows, element) => { if (element.isConnected) charts[element.dataset.chart](element, rows); }); }

const all = () => document.querySelectorAll("[data-chart]");
all().forEach(load);
let again = null;
document.body.addEventListener("live", () => { clearTimeout(again); again = setTimeout(() => all().forEach(load), 400); });
document.addEventListener("theme", redraw);
let resized = null, width = innerWidth;
addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(resized); resized = setTimeout(redraw, 150); });
