// Lanes of a session over time: a lane per thread, above them what its tools did. Long pauses are shortened, as the time
// in which somebody thought or slept would leave nothing of the rest to see.
import { number } from "./numbers.js";

const frame = document.querySelector("[data-timeline]"), canvas = frame.querySelector("canvas"), tip = frame.querySelector(".tip");
const id = frame.dataset.timeline, LANE = 30, TOP = 26, LEFT = 96, LONGEST_PAUSE_MS = 60_000;
const at = (text) => text ? Date.parse(text.replace(" ", "T") + "Z") : null;
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
let boxes = [], exchanges = [], calls = [], view = null;

function pieces() {
  // Stretches in which something went on, with the pauses between them.
  const spans = [...exchanges.map((one) => [at(one.started_at), at(one.completed_at) ?? Date.now()]), ...calls.filter((one) => one.called_at && one.returned_at).map((one) => [at(one.returned_at) - (one.execution_time_ms || 0), at(one.returned_at)])].sort((a, b) => a[0] - b[0]);
  const found = [];
  spans.forEach(([begin, end]) => { const last = found[found.length - 1]; if (last && begin - last.end <= LONGEST_PAUSE_MS) last.end = Math.max(last.end, end); else found.push({ begin, end }); });
  let sum = 0;
  found.forEach((one) => { one.at = sum; sum += Math.max(1, one.end - one.begin); });
  return { found, whole: sum };
}
function place(moment, { found, whole }, width) {
  const gap = 18, room = width - gap * (found.length - 1);
  let n = found.findIndex((one) => moment <= one.end);
  if (n < 0) n = found.length - 1;
  return LEFT + n * gap + (found[n].at + Math.min(Math.max(0, moment - found[n].begin), found[n].end - found[n].begin)) / whole * Math.max(1, room);
}
function lanes() {
  const names = new Map();
  exchanges.forEach((one) => { const key = one.thread_id || "main"; if (!names.has(key)) names.set(key, one.thread_kind === "main" || !one.thread_kind ? "main" : one.agent || one.thread_kind); });
  return names;
}
function draw() {
  const width = Math.max(frame.clientWidth, Math.min(12000, exchanges.length * 14)), ratio = devicePixelRatio || 1, names = lanes(), keys = [...names.keys()].slice(0, 24);
  const height = TOP + keys.length * LANE * 1.6 + 8, pen = canvas.getContext("2d");
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = `${height}px`; canvas.style.width = `${width}px`;
  pen.scale(ratio, ratio); pen.clearRect(0, 0, width, height); pen.font = "11px Inter, sans-serif"; pen.textBaseline = "middle";
  boxes = [];
  if (!exchanges.length) return;
  view = pieces();
  const room = width - LEFT - 10, x = (moment) => place(moment, view, room);
  pen.fillStyle = color("faint");
  view.found.forEach((one, n) => { if (n) { const left = x(one.begin) - 9; pen.fillStyle = color("line-strong"); pen.fillRect(left, TOP - 8, 1, height); pen.fillStyle = color("faint"); if (view.found.length < 12) { pen.textAlign = "center"; pen.fillText(number.ms(one.begin - view.found[n - 1].end), left, 10); } } });
  pen.textAlign = "left";
  keys.forEach((key, n) => { const y = TOP + n * LANE * 1.6; pen.fillStyle = color("muted"); pen.fillText(names.get(key).slice(0, 14), 0, y + 9); pen.fillStyle = color("track"); pen.fillRect(LEFT, y + 8.5, room, 1); });
  const laneOf = (one) => keys.indexOf(one.thread_id || "main"), byId = new Map(exchanges.map((one) => [one.request_id, one]));
  let largest = new Map();
  exchanges.forEach((one, n) => {
    const lane = laneOf(one);
    if (lane < 0) return;
    const y = TOP + lane * LANE * 1.6, begin = at(one.started_at), end = at(one.completed_at) ?? Date.now(), first = one.time_to_first_token_ms === null ? end : Math.min(end, begin + one.time_to_first_token_ms);
    const a = x(begin), b = x(first), c = Math.max(x(end), a + 1.5);
    pen.fillStyle = color("line-strong"); pen.fillRect(a, y, Math.max(0, b - a), 18);
    pen.fillStyle = color(one.success === false ? "bad" : "output"); pen.fillRect(b, y, Math.max(1.5, c - b), 18);
    if (one.retry_of) { pen.fillStyle = color("warn"); pen.fillRect(a, y + 19, Math.max(3, c - a), 2); }
    const before = largest.get(lane) || 0;
    if (one.input_tokens && before && one.input_tokens < before * 0.6) { pen.fillStyle = color("written"); pen.fillRect(a - 1, y - 5, 2, 28); }
    if (one.input_tokens) largest.set(lane, one.input_tokens);
    boxes.push({ a, c: Math.max(c, a + 3), y, h: 18, id: one.request_id, n: n + 1, text: `#${n + 1} ${one.model_name || ""}\nfirst token ${number.ms(one.time_to_first_token_ms)}, whole ${number.ms(one.provider_latency_ms)}\n${number.short(one.input_tokens)} in, ${number.short(one.output_tokens)} out, ${number.usd(one.total_cost_usd)}${one.success === false ? `\n${one.outcome}` : ""}` });
  });
  calls.forEach((one) => {
    const from = byId.get(one.request_id), lane = from ? laneOf(from) : -1;
    if (lane < 0 || !one.returned_at) return;
    const y = TOP + lane * LANE * 1.6 + 22, end = at(one.returned_at), a = x(end - (one.execution_time_ms || 0)), c = Math.max(x(end), a + 2);
    pen.fillStyle = color(one.success === false ? "bad" : "cached"); pen.fillRect(a, y, c - a, 9);
    boxes.push({ a, c, y, h: 9, id: one.request_id, n: exchanges.indexOf(from) + 1, text: `${one.tool_name}\n${number.ms(one.execution_time_ms)}${one.success === false ? ", failed" : ""}` });
  });
}
function under(event) {
  const place = canvas.getBoundingClientRect(), px = event.clientX - place.left, py = event.clientY - place.top;
  return [boxes.findLast((one) => px >= one.a - 1 && px <= one.c + 1 && py >= one.y - 2 && py <= one.y + one.h + 2), px, py];
}
canvas.addEventListener("pointermove", (event) => {
  const [box, px, py] = under(event);
  tip.hidden = !box; canvas.style.cursor = box ? "pointer" : "";
  if (box) { tip.textContent = box.text; tip.style.left = `${Math.min(px + 12, frame.scrollLeft + frame.clientWidth - 240)}px`; tip.style.top = `${py + 14}px`; }
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("click", (event) => { const [box] = under(event); if (box) location.href = `/sessions/${id}?from=${box.n}#${box.id}`; });
async function load() {
  [exchanges, calls] = await Promise.all(["exchanges", "calls"].map((what) => fetch(`/api/v1/sessions/${id}/${what}`).then((answer) => answer.json())));
  draw();
}
load();
document.body.addEventListener("live", load);
document.addEventListener("theme", draw);
addEventListener("resize", draw);
