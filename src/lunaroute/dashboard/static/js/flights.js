// What is in flight: the texts of this page's session as they stream, and ticking numbers wherever an exchange or a session
// is shown.
import { number } from "./numbers.js";

const flights = new Map();
let isDrawing = false, wasDrawn = new Set();

export function takeFlight(said) {
  const known = flights.get(said.request_id) ?? { parts: new Map(), heard: Date.now() };
  const { deltas = [], ...summary } = said;
  Object.assign(known, { summary, isOver: false, heard: Date.now() });
  for (const delta of deltas) {
    const part = known.parts.get(delta.key) ?? { text: "" };
    part.text = part.text.slice(0, delta.at ?? 0) + (delta.text ?? "");
    Object.assign(part, { kind: delta.kind, name: delta.name ?? part.name });
    known.parts.set(delta.key, part);
  }
  flights.set(said.request_id, known);
  draw();
}
// Its turn stays until the page has the recorded one in its place.
export function endFlight(requestId) {
  const known = flights.get(requestId);
  if (!known) return;
  known.isOver = true;
  known.heard = Date.now();
  if (!place()) flights.delete(requestId);
  draw();
}
export function forgetFlights() { flights.clear(); draw(); }
// Sessions in flight that the page's list does not have yet.
export function unlisted() {
  const listed = new Set([...document.querySelectorAll("tr[data-session]")].map((row) => row.dataset.session));
  return new Set([...flights.values()].map((one) => one.summary.session_id).filter((id) => !listed.has(id)));
}
export function settleFlights() {
  for (const [id, one] of flights) {
    const turn = document.getElementById(id);
    const isShown = turn ? !turn.classList.contains("open") : Date.now() - one.heard > 3000;
    if (one.isOver && isShown) flights.delete(id);
  }
  draw();
}

function place() { return document.querySelector("[data-in-flight]"); }
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => { isDrawing = false; drawTexts(); drawNumbers(); });
}
function drawTexts() {
  const region = place();
  if (!region) return;
  const isAtEnd = window.innerHeight + window.scrollY >= document.documentElement.scrollHeight - 60;
  const own = [...flights].filter(([, one]) => one.summary.session_id === region.dataset.inFlight);
  const ids = new Set(own.map(([id]) => id));
  region.querySelectorAll("section").forEach((section) => { if (!ids.has(section.dataset.flight)) section.remove(); });
  own.forEach(([id, one]) => {
    let section = region.querySelector(`[data-flight="${CSS.escape(id)}"]`);
    if (!section) {
      section = element("section", "turn streaming");
      section.dataset.flight = id;
      section.append(element("header"));
      region.append(section);
    }
    drawHead(section.firstChild, one);
    for (const [key, part] of one.parts) drawPart(section, key, part);
  });
  if (isAtEnd && own.length) window.scrollTo({ top: document.documentElement.scrollHeight });
}
function drawHead(head, one) {
  const state = element("span", "state working"), figures = element("span", "figures");
  state.append(element("i", "dot"));
  figures.append(...figuresOf(one).map((text) => element("span", "", text)));
  head.replaceChildren(state, element("span", "model", one.summary.model ?? "unknown model"), figures);
}
function drawPart(section, key, part) {
  let box = [...section.children].find((one) => one.dataset.part === key);
  if (!box) {
    box = element("div", part.kind === "text" ? "said model" : `streamed ${part.kind}`);
    box.dataset.part = key;
    box.append(element("span", "who"), element("div", "typed"));
    section.append(box);
  }
  const [who, typed] = box.children;
  who.textContent = part.kind === "text" ? "Model" : part.kind === "thinking" ? "Thinking" : part.name ?? "Tool";
  const shown = typed.textContent;
  // Only what is new is added, so that a selection in what stands there already is kept.
  if (part.text.startsWith(shown)) { if (part.text.length > shown.length) typed.append(part.text.slice(shown.length)); }
  else typed.textContent = part.text;
  typed.normalize();
}
function figuresOf(one) {
  const { started_at, streaming_ms = 0, output_tokens = 0, output_is_estimated, cost_usd, is_withheld } = one.summary;
  const said = [number.ms(Date.now() - new Date(started_at))];
  if (output_tokens) said.push(`${output_is_estimated ? "≈ " : ""}${number.short(output_tokens)} tokens`);
  if (streaming_ms >= 250 && output_tokens) said.push(`${number.short(Math.round(1000 * output_tokens / streaming_ms))} tok/s`);
  if (cost_usd !== undefined) said.push(number.usd(cost_usd));
  if (is_withheld) said.push("text comes when it is redacted");
  return said;
}
function drawNumbers() {
  const bySession = new Map(), drawn = new Set();
  for (const [id, one] of flights) {
    if (one.isOver) continue;
    bySession.set(one.summary.session_id, one);
    show(document.querySelector(`[data-rate="${CSS.escape(id)}"]`), one, drawn);
  }
  for (const [session, one] of bySession) show(document.querySelector(`[data-session-rate="${CSS.escape(session)}"]`), one, drawn);
  wasDrawn.forEach((target) => { if (!drawn.has(target)) target.textContent = ""; });
  wasDrawn = drawn;
}
function show(target, one, drawn) {
  if (!target) return;
  target.textContent = figuresOf(one).slice(1).join(" · ");
  drawn.add(target);
}
function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}
export function tick() { if (flights.size) settleFlights(); }
