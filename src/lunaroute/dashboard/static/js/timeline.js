// Lanes of a session over time: a lane per thread, below it what its tools did. Long pauses are shortened, as the time in
// which somebody thought or slept would leave nothing of the rest to see. A stretch can be looked at closely.
import { color } from "./draw.js";
import { number } from "./numbers.js";
import { visit } from "./visit.js";

const LANE = 46, TOP = 26, LEFT = 96, BAR = 18, LONGEST_PAUSE_MS = 60_000, MOST_LANES = 24, CLOSEST_MS = 200;
const at = (text) => text ? Date.parse(text.replace(" ", "T") + "Z") : null;
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
let frame = null, canvas, tip, pen, id;
let boxes = [], exchanges = [], calls = [], scale = null, shown = null, drag = null;

const endOf = (one) => at(one.completed_at) ?? Date.now();
const beginOf = (call) => at(call.returned_at) - (call.execution_time_ms || 0);

// ---- moments → milliseconds from the beginning, with long pauses shortened
function makeScale() {
  const spans = [...exchanges.map((one) => [at(one.started_at), endOf(one)]), ...calls.filter((one) => one.returned_at).map((one) => [beginOf(one), at(one.returned_at)])].sort((a, b) => a[0] - b[0]), found = [];
  spans.forEach(([begin, end]) => { const last = found[found.length - 1]; if (last && begin - last.end <= LONGEST_PAUSE_MS) last.end = Math.max(last.end, end); else found.push({ begin, end }); });
  const busy = found.reduce((sum, one) => sum + Math.max(1, one.end - one.begin), 0), pause = Math.min(busy * 0.015, busy * 0.2 / found.length);
  let sum = 0;
  found.forEach((one, n) => { if (n) sum += pause; one.at = sum; sum += Math.max(1, one.end - one.begin); });
  return { found, whole: sum, pause };
}
function along(moment) {
  const piece = scale.found.find((one) => moment <= one.end) || scale.found[scale.found.length - 1];
  return piece.at + Math.min(Math.max(0, moment - piece.begin), piece.end - piece.begin);
}
function momentOf(place) {
  const piece = scale.found.findLast((one) => one.at <= place) || scale.found[0];
  return piece.begin + Math.min(place - piece.at, piece.end - piece.begin);
}

// ---- lanes; a request that was tried again is drawn where it succeeded
function lanes() {
  const byId = new Map(exchanges.map((one) => [one.request_id, one])), final = new Map(), found = new Map(), times = new Map();
  exchanges.forEach((one) => { for (let first = byId.get(one.retry_of); first; first = byId.get(first.retry_of)) final.set(first.request_id, one); });
  const keyOf = (one) => (final.get(one.request_id) || one).thread_id || "main";
  exchanges.forEach((one) => {
    const key = keyOf(one);
    if (found.has(key) || found.size >= MOST_LANES) return;
    const name = !one.thread_kind || one.thread_kind === "main" ? "main" : one.agent || one.thread_kind, n = (times.get(name) || 0) + 1;
    times.set(name, n);
    found.set(key, { n: found.size, name: n > 1 ? `${name} ${n}` : name, of: [] });
  });
  exchanges.forEach((one) => found.get(keyOf(one))?.of.push(one));
  return { found, byId, final, laneOf: (one) => found.get(keyOf(one)) };
}

function draw() {
  const width = frame.clientWidth, ratio = devicePixelRatio || 1, { found, byId, final, laneOf } = lanes();
  const height = TOP + Math.max(1, found.size) * LANE + 4, room = width - LEFT - 6;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = `${height}px`; canvas.style.width = `${width}px`;
  pen.scale(ratio, ratio); pen.clearRect(0, 0, width, height); pen.font = "11px Inter, sans-serif"; pen.textBaseline = "middle";
  boxes = [];
  if (!exchanges.length) return;
  scale = makeScale();
  const [from, to] = shown || [0, scale.whole], place = (one) => LEFT + (one - from) / (to - from) * room, x = (moment) => place(along(moment));
  const colors = Object.fromEntries(["line", "line-strong", "faint", "muted", "track", "text", "bad", "output", "cached", "warn", "written"].map((name) => [name, color(name)]));
  const fill = (name, left, top, wide, high) => { pen.fillStyle = colors[name]; pen.fillRect(left, top, wide, high); };
  pen.save();
  pen.beginPath(); pen.rect(LEFT, 0, room + 6, height); pen.clip();
  drawTimes(fill, colors, from, to, place, room, height);
  found.forEach(({ n }) => fill("track", LEFT, TOP + n * LANE + BAR / 2, room, 1));
  found.forEach(({ n, of }) => drawWaiting(of, TOP + n * LANE, fill, x));
  exchanges.forEach((one, n) => {
    const lane = laneOf(one);
    if (!lane) return;
    const y = TOP + lane.n * LANE, begin = at(one.started_at), end = endOf(one), first = one.time_to_first_token_ms === null ? end : Math.min(end, begin + one.time_to_first_token_ms);
    const a = x(begin), b = x(first), c = Math.max(x(end), a + 1.5), isTry = final.has(one.request_id);
    if (c < LEFT || a > width) return;
    fill("line-strong", a, y, Math.max(0, b - a), BAR);
    fill(one.success === false ? "bad" : "output", b, y, Math.max(1.5, c - b), BAR);
    if (c - a > 8 && b < c) fill("text", b, y - 2, 1, BAR + 4);
    if (isTry) { const next = final.get(one.request_id), right = x(endOf(next)); pen.strokeStyle = colors.warn; pen.lineWidth = 1.5; pen.strokeRect(a - 2.5, y - 3.5, Math.max(4, right - a + 5), BAR + 7); }
    const before = lane.largest || 0;
    if (one.input_tokens && before && one.input_tokens < before * 0.6) fill("written", a - 1, y - 6, 2, BAR + 12);
    if (one.input_tokens) lane.largest = one.input_tokens;
    boxes.push({ a, c: Math.max(c, a + 3), y, h: BAR, id: one.request_id, n: n + 1, text: `#${n + 1} ${one.model_name || ""}\nfirst token ${number.ms(one.time_to_first_token_ms)}, whole ${number.ms(one.provider_latency_ms)}\n${number.short(one.input_tokens)} in, ${number.short(one.output_tokens)} out, ${number.usd(one.total_cost_usd)}${one.success === false ? `\n${one.outcome}${one.status_code ? ` ${one.status_code}` : ""}` : ""}${isTry ? `\ntried again: #${exchanges.indexOf(final.get(one.request_id)) + 1}` : ""}` });
  });
  calls.forEach((one) => {
    const from = byId.get(one.request_id), lane = from && laneOf(from);
    if (!lane || !one.returned_at) return;
    const y = TOP + lane.n * LANE + BAR + 4, a = x(beginOf(one)), c = Math.max(x(at(one.returned_at)), a + 2);
    fill(one.success === false ? "bad" : "cached", a, y, c - a, 9);
    boxes.push({ a, c, y, h: 9, id: one.request_id, n: exchanges.indexOf(from) + 1, text: `${one.tool_name}\n${number.ms(one.execution_time_ms)}${one.success === false ? ", failed" : ""}` });
  });
  if (drag && Math.abs(drag.to - drag.from) > 3) { pen.globalAlpha = 0.2; fill("muted", Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), height); pen.globalAlpha = 1; }
  pen.restore();
  found.forEach(({ n, name }) => { pen.fillStyle = colors.muted; pen.textAlign = "left"; pen.fillText(name.slice(0, 14), 0, TOP + n * LANE + BAR / 2); });
}
function drawTimes(fill, colors, from, to, place, room, height) {
  pen.textAlign = "center";
  let taken = -Infinity;
  scale.found.forEach((one, n) => {
    if (!n) return;
    const middle = place(one.at - scale.pause / 2);
    fill("line-strong", middle, TOP - 8, 1, height);
    if (middle - taken > 70 && middle > LEFT) { pen.fillStyle = colors.muted; pen.fillText(`⋯ ${number.ms(one.begin - scale.found[n - 1].end)}`, middle, 10); taken = middle; }
  });
  const marks = Math.max(2, Math.floor(room / 130)), gaps = scale.found.slice(1).map((one) => place(one.at - scale.pause / 2));
  for (let n = 0; n <= marks; n++) {
    const where = LEFT + 30 + (room - 60) * n / marks;
    fill("line", where, TOP - 8, 1, height);
    if (gaps.some((gap) => Math.abs(gap - where) < 70)) continue;
    pen.fillStyle = colors.faint; pen.fillText(clock.format(momentOf(from + (where - LEFT) / room * (to - from))), where, 10);
  }
}
function drawWaiting(of, y, fill, x) {
  // Between an answer and the next request, but for the time of tools: somebody reads, thinks or types.
  const ids = new Set(of.map((one) => one.request_id)), tools = calls.filter((one) => ids.has(one.request_id) && one.returned_at);
  const busy = [...of.map((one) => [at(one.started_at), endOf(one)]), ...tools.map((one) => [beginOf(one), at(one.returned_at)])].sort((a, b) => a[0] - b[0]);
  let until = null;
  busy.forEach(([begin, end]) => { if (until !== null && begin > until) fill("warn", x(until), y + BAR / 2 - 0.5, Math.max(0, x(begin) - x(until)), 2); until = Math.max(until ?? end, end); });
}

// ---- looking closely: a drag, the wheel with Ctrl, buttons, keys
function show(from, to) {
  if (!scale) return;
  const length = Math.max(CLOSEST_MS, Math.min(scale.whole, to - from)), begin = Math.max(0, Math.min(from, scale.whole - length));
  shown = length >= scale.whole ? null : [begin, begin + length];
  tip.hidden = true;
  draw();
}
function zoom(factor, middle) {
  const [from, to] = shown || [0, scale.whole], center = middle ?? (from + to) / 2;
  show(center - (center - from) * factor, center + (to - center) * factor);
}
function pan(share) { const [from, to] = shown || [0, scale.whole]; show(from + (to - from) * share, to + (to - from) * share); }
const placeOf = (px) => { const [from, to] = shown || [0, scale.whole]; return from + (px - LEFT) / (frame.clientWidth - LEFT - 6) * (to - from); };
const actions = { in: () => zoom(0.5), out: () => zoom(2), all: () => show(0, Infinity) };

function under(event) {
  const place = canvas.getBoundingClientRect(), px = event.clientX - place.left, py = event.clientY - place.top;
  return [boxes.findLast((one) => px >= one.a - 1 && px <= one.c + 1 && py >= one.y - 2 && py <= one.y + one.h + 2), px, py];
}
addEventListener("pointerup", () => {
  if (!drag || !frame.isConnected) return;
  const { from, to } = drag, wasDragged = Math.abs(to - from) > 6;
  setTimeout(() => { drag = null; });
  if (wasDragged) show(placeOf(Math.min(from, to)), placeOf(Math.max(from, to)));
});
async function load() {
  const mine = frame;
  try {
    const found = await Promise.all(["exchanges", "calls"].map((what) => fetch(`/api/v1/sessions/${id}/${what}`).then((answer) => answer.json())));
    if (mine !== frame) return;
    [exchanges, calls] = found;
    draw();
    frame.dataset.drawn = "true";
  } catch { /* the next change asks again */ }
}
export function arrive(main) {
  frame = main.querySelector("[data-timeline]"); canvas = frame.querySelector("canvas"); tip = frame.querySelector(".tip"); pen = canvas.getContext("2d"); id = frame.dataset.timeline;
  boxes = []; exchanges = []; calls = []; scale = shown = drag = null;
  main.querySelectorAll("[data-zoom]").forEach((one) => one.addEventListener("click", () => scale && actions[one.dataset.zoom]()));
  canvas.addEventListener("keydown", (event) => {
    const action = { "+": actions.in, "=": actions.in, "-": actions.out, 0: actions.all, ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2) }[event.key];
    if (action && scale && !event.ctrlKey && !event.metaKey) { event.preventDefault(); action(); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (!scale || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, placeOf(event.clientX - canvas.getBoundingClientRect().left));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => scale && actions.all());
  canvas.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse" && scale) drag = { from: under(event)[1], to: under(event)[1] }; });
  canvas.addEventListener("pointermove", (event) => {
    const [box, px, py] = under(event);
    if (drag && event.buttons) { drag.to = px; tip.hidden = true; draw(); return; }
    tip.hidden = !box; canvas.style.cursor = box ? "pointer" : "";
    if (box) { tip.textContent = box.text; tip.style.left = `${Math.max(0, Math.min(px + 12, frame.clientWidth - 240))}px`; tip.style.top = `${py + 14}px`; }
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("click", (event) => {
    const [box] = under(event);
    if (box && !(drag && Math.abs(drag.to - drag.from) > 6)) visit(`/sessions/${id}?from=${box.n}#${box.id}`);
  });
  load();
}
const again = (what) => () => { if (frame.isConnected) what(); };
document.body.addEventListener("live", again(load));
document.addEventListener("theme", again(draw));
addEventListener("resize", again(draw));
