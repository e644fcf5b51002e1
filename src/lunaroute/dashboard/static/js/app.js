// On every page: live updates, keyboard, stars, and what the others have.
import { ask, tell } from "./ask.js";
import { hideCompletions } from "./completions.js";
import { withoutTimes } from "./filter.js";
import { endFlight, forgetFlights, settleFlights, takeFlight, tick, unlisted } from "./flights.js";
import { openPalette } from "./palette.js";
import { tellTimes } from "./times.js";
import { begin, onArrive, onPrepare } from "./visit.js";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- live
const liveButton = $("[data-live]"), liveText = $("[data-live-text]"), pill = $("[data-pill]");
let source = null, watched, retryAt = null, isPaused = localStorage.getItem("live") === "paused", lastTold = 0, pending = null, seen = null;

function showLive(state, text) {
  liveButton.classList.remove("on", "off", "paused");
  liveButton.classList.add(state);
  liveButton.setAttribute("aria-pressed", String(!isPaused));
  liveText.textContent = text;
}
function isReadingFurtherDown() {
  return window.scrollY > 400 || $$("[data-row]").length > 60 || $("dialog[open]") || $("details.menu-button[open]");
}
function changed() {
  // At most one update in a second and a half, and the last one always.
  const wait = 1500 - (Date.now() - lastTold);
  if (wait > 0) { pending ??= setTimeout(changed, wait); return; }
  pending = null;
  lastTold = Date.now();
  if (document.hidden) return;
  if (isReadingFurtherDown() && $("#rows, #hits")) {
    const count = $("#rows") ? unlisted().size : 0;
    pill.textContent = count ? `${count} new · show` : "New activity · show";
    pill.hidden = false;
    return;
  }
  update();
}
function update() {
  pill.hidden = true;
  document.body.dispatchEvent(new CustomEvent("live"));
  const stamp = $("[data-stamp]");
  if (stamp) stamp.textContent = `Updated ${new Date().toLocaleTimeString("en-GB")}`;
}
function connect() {
  source?.close();
  clearTimeout(retryAt);
  if (isPaused) { showLive("paused", "Paused"); return; }
  watched = $("[data-in-flight]")?.dataset.inFlight;
  source = new EventSource(watched ? `/api/v1/live?session=${encodeURIComponent(watched)}` : "/api/v1/live");
  // After the connection all that is in flight is told from its beginning.
  source.addEventListener("open", () => { forgetFlights(); showLive("on", "Live"); });
  source.addEventListener("in_flight", (event) => {
    const said = JSON.parse(event.data);
    takeFlight(said);
    if ($("[data-running]") && !$(`[data-rate="${CSS.escape(said.request_id)}"]`)) changed();
  });
  source.addEventListener("ended", (event) => { endFlight(JSON.parse(event.data).request_id); changed(); });
  source.addEventListener("change", (event) => {
    // The first one only says where things stand, unless something was missed while nobody was connected.
    if (seen !== null && seen !== event.data) changed();
    seen = event.data;
  });
  source.addEventListener("error", () => {
    showLive("off", "Reconnecting");
    seen = seen === null ? null : "lost";
    if (source.readyState === EventSource.CLOSED) retryAt = setTimeout(connect, 2000);
  });
}
liveButton.addEventListener("click", () => {
  isPaused = !isPaused;
  localStorage.setItem("live", isPaused ? "paused" : "on");
  connect();
});
pill.addEventListener("click", () => { window.scrollTo({ top: 0 }); update(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && !isPaused) changed(); });
window.addEventListener("pagehide", () => source?.close());

// ---- copying
async function copy(text) {
  try { await navigator.clipboard.writeText(text); tell("Copied"); } catch { tell("The browser does not let this page copy"); }
}

// ---- rows and keys
let selected = null;
function rows() { return $$("[data-row]").filter((one) => one.offsetParent !== null); }
function select(row) {
  $$("[data-row].selected").forEach((one) => one.classList.remove("selected"));
  if (!row) return;
  row.classList.add("selected");
  row.scrollIntoView({ block: "nearest" });
  selected = row.dataset.session || row.id || String(rows().indexOf(row));
}
function current() { return $("[data-row].selected"); }
function move(step) {
  const all = rows();
  if (all.length) select(all[Math.max(0, Math.min(all.length - 1, all.indexOf(current()) + step))]);
}
async function star(button) {
  const isStarred = button.getAttribute("aria-pressed") !== "true";
  try {
    await ask(`/sessions/${button.dataset.star}/star`, "PUT", { is_starred: isStarred });
    $$(`[data-star="${CSS.escape(button.dataset.star)}"]`).forEach((one) => one.setAttribute("aria-pressed", String(isStarred)));
  } catch (error) { tell(error.message); }
}
const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") { event.preventDefault(); openPalette(); return; }
  const menu = event.key === "Escape" && $("details.menu-button[open]");
  if (menu) { menu.open = false; $("summary", menu).focus(); return; }
  if (event.key === "Escape" && isTyping(event.target) && !event.target.closest("dialog")) { hideCompletions(); event.target.blur(); return; }
  if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || $("dialog[open]")) return;
  const actions = {
    "/": () => { const field = $("[data-search]"); field?.focus(); field?.select(); },
    "?": () => $("[data-help-dialog]").showModal(),
    j: () => move(1), k: () => move(-1),
    Enter: () => (event.target === document.body || event.target.id === "main" || event.target.closest("[data-row]") === event.target) && open(),
    s: () => { const button = current()?.querySelector("[data-star]") || $(".session [data-star]"); if (button) star(button); },
    "[": () => $("[data-before]")?.click(), "]": () => $("[data-after]")?.click(),
    Escape: () => { if (current()) select(null); else $("[data-back]")?.click(); },
  };
  const action = actions[event.key];
  if (action) { if (event.key !== "Enter") event.preventDefault(); action(); }
});
function open() {
  const row = current();
  if (!row) return;
  const link = $("[data-open]", row);
  if (link) link.click(); else $$("details", row).forEach((one) => { one.open = !one.open; });
}
document.addEventListener("click", (event) => {
  const target = event.target;
  const button = target.closest("[data-star]");
  if (button) { star(button); return; }
  if (target.closest("[data-palette]")) { openPalette(); return; }
  if (target.closest("[data-theme-toggle]")) {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    document.documentElement.dataset.theme = next;
    document.dispatchEvent(new CustomEvent("theme"));
    return;
  }
  const density = target.closest("[data-density-toggle]");
  if (density) {
    const next = document.documentElement.dataset.density === "dense" ? "roomy" : "dense";
    localStorage.setItem("density", next);
    document.documentElement.dataset.density = next;
    density.setAttribute("aria-pressed", String(next === "dense"));
    return;
  }
  const menu = target.closest("[data-menu]");
  if (menu) { menu.setAttribute("aria-expanded", String($(".side").classList.toggle("open"))); return; }
  const copied = target.closest("[data-copy]");
  if (copied) { copy(copied.dataset.copy); return; }
  const from = target.closest("[data-copy-from]");
  if (from) { fetch(from.dataset.copyFrom).then((answer) => answer.text()).then(copy).catch((error) => tell(error.message)); return; }
  $$("details.menu-button[open]").forEach((one) => { if (!one.contains(target)) one.open = false; });
  const row = target.closest("tr[data-row]");
  if (row && !target.closest("a, button, input, label, summary") && !String(getSelection())) $("[data-open]", row)?.click();
});
document.addEventListener("change", (event) => {
  // A span that is chosen counts; times that stand in the filter would win over it.
  if (event.target.matches("[data-range]")) { const typed = event.target.form.elements.q; typed.value = withoutTimes(typed.value); }
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});
// htmx tells of each element that came; what came together is looked through once.
let isSwapTold = false;
document.addEventListener("htmx:afterSwap", () => {
  if (isSwapTold) return;
  isSwapTold = true;
  queueMicrotask(() => {
    isSwapTold = false;
    tellTimes();
    if (selected) select($$("[data-row]").find((one) => one.dataset.session === selected || one.id === selected));
    settleFlights();
  });
});
setInterval(tick, 500);
$("[data-help-dialog]").addEventListener("click", (event) => { if (event.target === event.currentTarget) event.currentTarget.close(); });
onPrepare(tellTimes);
onArrive(() => {
  selected = null;
  pill.hidden = true;
  $(".side").classList.remove("open"); $("[data-menu]").setAttribute("aria-expanded", "false");
  if (source && $("[data-in-flight]")?.dataset.inFlight !== watched) connect(); else settleFlights();
});

$("[data-density-toggle]").setAttribute("aria-pressed", String(document.documentElement.dataset.density === "dense"));
tellTimes();
connect();
begin();
