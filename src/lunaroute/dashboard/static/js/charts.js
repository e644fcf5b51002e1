// Charts over the JSON API. Each says in data-… what it shows; colours are those of the style sheet.
import { draw, library } from "./draw.js";
import { number } from "./numbers.js";

const SERIES = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
const MOST_SERIES = 6;
const NO_GAPS = { p50_buckets: [], p95_buckets: [], max_buckets: [], token_buckets: [] };
const drawn = new Map();

const seconds = (row) => Date.parse((row.hour || `${row.day} 00:00:00`).replace(" ", "T") + "Z") / 1000;

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

// How often how long, on an axis that grows by factors.
function drawBuckets(element, series) {
  const all = series.flatMap((one) => one.buckets.map(([ms]) => ms));
  if (!all.length) { draw(element, [], [], {}); return; }
  const low = Math.log10(Math.min(...all)), high = Math.log10(Math.max(...all)), bins = Math.min(60, Math.max(12, all.length * 2)), width = (high - low) / bins || 1;
  const counted = (buckets) => { const found = new Array(bins + 1).fill(0); buckets.forEach(([ms, count]) => { found[Math.min(bins, Math.floor((Math.log10(ms) - low) / width))] += count; }); return found; };
  const xs = new Array(bins + 1).fill(0).map((_, n) => 10 ** (low + n * width));
  draw(element, xs, series.map((one) => ({ label: one.label, color: one.color, isFilled: true, values: counted(one.buckets) })),
    { unit: "short", height: 220, isTime: false, xValues: (at) => at === null ? "" : number.ms(at), scaleX: { distr: 3 } });
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
    const whole = rows[0] || { ttft_buckets: [], latency_buckets: [] };
    drawBuckets(element, [{ label: "first token", color: "s2", buckets: whole.ttft_buckets }, { label: "latency", color: "s1", buckets: whole.latency_buckets }]);
  },
  context(element, rows) {
    const xs = rows.map((_, n) => n + 1), read = (row) => row.cache_read_tokens || 0, written = (row) => row.cache_creation_tokens || 0;
    draw(element, xs, [
      { label: "from cache", color: "cached", values: rows.map(read) }, { label: "written to cache", color: "written", values: rows.map(written) },
      { label: "fresh", color: "fresh", values: rows.map((row) => Math.max(0, (row.input_tokens || 0) - read(row) - written(row))) }, { label: "output", color: "output", values: rows.map((row) => row.output_tokens || 0) },
    ], { unit: "short", height: 300, isStacked: true, isBars: true, isTime: false, step: 1, xValues: (at) => Number.isInteger(at) ? `#${at}` : "", addressOf: (at) => `${location.pathname}?from=${at}` });
  },
  gaps(element, [found = NO_GAPS]) {
    drawBuckets(element, [{ label: "median of a stream", color: "s2", buckets: found.p50_buckets }, { label: "p95 of a stream", color: "s1", buckets: found.p95_buckets }, { label: "longest of a stream", color: "s4", buckets: found.max_buckets }]);
  },
  tokengaps(element, [found = NO_GAPS]) {
    drawBuckets(element, [{ label: "mean of a stream", color: "output", buckets: found.token_buckets }]);
  },
  sessiongaps(element, rows) {
    const buckets = (name) => rows.filter((row) => row[name] > 0).map((row) => [row[name], 1]);
    drawBuckets(element, [{ label: "median of a stream", color: "s2", buckets: buckets("chunk_gap_p50_ms") }, { label: "p95 of a stream", color: "s1", buckets: buckets("chunk_gap_p95_ms") }, { label: "longest of a stream", color: "s4", buckets: buckets("chunk_gap_max_ms") }]);
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
        const box = document.createElement(count ? "a" : "span"), level = count ? Math.ceil(Math.sqrt(count / most) * 4) : 0;
        box.className = `cell h${level}`; box.title = `${days[day]} ${hour}:00 · ${number.short(count)} requests`;
        if (count) { box.href = hourAddress(day, hour); box.tabIndex = -1; }
        const told = document.createElement("span"); told.className = "hidden"; told.textContent = number.short(count); box.append(told);
        line.insertCell().append(box);
      });
    });
    element.replaceChildren(table);
    // One stop for the Tab key; arrows walk on from there.
    const first = table.querySelector("a.cell");
    if (first) first.tabIndex = 0;
  },
};

// Sessions that began in an hour of the week, which filters name in UTC.
function hourAddress(day, hour) {
  const at = new Date();
  at.setDate(at.getDate() - ((at.getDay() + 6) % 7) + day);
  at.setHours(hour, 59);
  const address = new URLSearchParams(location.search), weekday = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"][at.getUTCDay()];
  address.set("q", `${address.get("q") || ""} weekday:${weekday} hour:${String(at.getUTCHours()).padStart(2, "0")}`.trim());
  if (!address.get("range")) address.set("range", document.querySelector("[name=range]:checked")?.value || "all");
  return `/sessions?${address}`;
}
document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("a.cell"), steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!cell || !steps) return;
  event.preventDefault();
  const table = cell.closest("table");
  let column = cell.parentElement.cellIndex, row = cell.parentElement.parentElement.rowIndex;
  for (;;) {
    column += steps[0]; row += steps[1];
    const place = table.rows[row]?.cells[column];
    if (!place || !row || !column) return;
    const next = place.querySelector("a.cell");
    if (next) { cell.tabIndex = -1; next.tabIndex = 0; next.focus(); return; }
  }
});

async function rowsOf(address) {
  const answer = await fetch(address);
  const rows = await answer.json();
  if (!answer.ok) throw new Error(rows.error);
  return rows;
}
// `asked`: what other charts of this round have asked for.
async function load(element, asked) {
  const { chart, src } = element.dataset;
  try {
    if (!asked.has(src)) asked.set(src, rowsOf(src));
    const [rows] = await Promise.all([asked.get(src), library()]);
    // Others come in between: a press, what one types, the frame that shows it.
    await whenIdle();
    if (!element.isConnected) return;
    drawn.set(element, rows);
    charts[chart](element, rows);
  } catch (error) {
    const told = document.createElement("p");
    told.className = "told"; told.textContent = error.message;
    element.replaceChildren(told);
  }
}
function redraw() { drawn.forEach((rows, element) => { if (element.isConnected) charts[element.dataset.chart](element, rows); }); }

// The page is shown first: a frame, and whatever follows it.
const whenShown = () => new Promise((shown) => requestAnimationFrame(() => setTimeout(shown)));
const whenIdle = () => new Promise((idle) => requestIdleCallback(idle, { timeout: 200 }));
function loadAll(main = document) {
  const asked = new Map();
  main.querySelectorAll("[data-chart]").forEach((one) => load(one, asked));
}
export async function arrive(main) {
  drawn.clear();
  await whenShown();
  if (main.isConnected) loadAll(main);
}
let again = null;
document.body.addEventListener("live", () => { clearTimeout(again); again = setTimeout(loadAll, 400); });
document.addEventListener("theme", redraw);
let resized = null, width = innerWidth;
addEventListener("resize", () => { if (innerWidth === width) return; width = innerWidth; clearTimeout(resized); resized = setTimeout(redraw, 150); });
