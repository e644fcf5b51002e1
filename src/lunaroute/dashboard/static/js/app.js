// On every page: local times, live updates, keyboard, palette, filter field, stars.
import { ask, tell } from "./ask.js";
import { withoutTimes } from "./filter.js";
import { endFlight, forgetFlights, settleFlights, takeFlight, tick, unlisted } from "./flights.js";
import { number } from "./numbers.js";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- times
const minute = 60, hour = 3600, day = 86400;
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "narrow" });
const exact = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const coarse = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function tellTime(element) {
  const at = new Date(element.dateTime);
  if (isNaN(at)) return;
  const ago = (Date.now() - at) / 1000;
  element.title = `${element.dateTime.replace("T", " ").replace("Z", "")} UTC`;
  if (!("relative" in element.dataset)) element.textContent = exact.format(at);
  else if (ago < minute) element.textContent = ago < 5 ? "just now" : relative.format(-Math.round(ago), "second");
  else if (ago < hour) element.textContent = relative.format(-Math.round(ago / minute), "minute");
  else if (ago < day) element.textContent = relative.format(-Math.round(ago / hour), "hour");
  else if (ago < 7 * day) element.textContent = relative.format(-Math.round(ago / day), "day");
  else element.textContent = coarse.format(at);
}
function tellTimes(root = document) {
  $$("time[datetime]", root).forEach(tellTime);
  $$("[data-since]", root).forEach((one) => { one.textContent = number.ms(Date.now() - new Date(one.dataset.since)); });
}
setInterval(() => { if (!document.hidden) { $$("time[data-relative]").forEach(tellTime); $$("[data-since]").forEach((one) => { one.textContent = number.ms(Date.now() - new Date(one.dataset.since)); }); } }, 1000);

// ---- live
const liveButton = $("[data-live]"), liveText = $("[data-live-text]"), pill = $("[data-pill]");
let source = null, retryAt = null, isPaused = localStorage.getItem("live") === "paused", lastTold = 0, pending = null, seen = null;

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
  const watched = $("[data-in-flight]")?.dataset.inFlight;
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
document.addEventListener("submit", (event) => {
  // Addresses stay short: what says nothing is left out.
  if (event.target.matches("[data-filter]")) $$("input", event.target).forEach((one) => { if (!one.value) one.disabled = true; });
});
window.addEventListener("pageshow", () => $$("[data-filter] input").forEach((one) => { one.disabled = false; }));
document.addEventListener("htmx:afterSwap", (event) => {
  tellTimes(event.target.parentElement || document);
  if (selected) select($$("[data-row]").find((one) => one.dataset.session === selected || one.id === selected));
});
document.addEventListener("htmx:afterSettle", () => { tellTimes(); settleFlights(); });
setInterval(tick, 500);

// ---- palette
const palette = $("[data-palette-dialog]"), paletteInput = $("[data-palette-input]"), paletteList = $("[data-palette-list]");
let choices = [], chosen = 0, paletteAsked = 0;
function openPalette() {
  if (!palette.open) palette.showModal();
  paletteInput.value = "";
  showChoices(pageChoices(""));
}
function pageChoices(text) {
  return $$("#nav li a").map((one) => ({ text: one.textContent.trim(), hint: "Page", address: one.getAttribute("href") })).filter((one) => one.text.toLowerCase().includes(text.toLowerCase()));
}
function showChoices(found, which = 0) {
  choices = found; chosen = which;
  paletteList.replaceChildren(...found.map((one, at) => {
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", String(at === chosen));
    const text = document.createElement("span"), hint = document.createElement("small");
    text.textContent = one.text; hint.textContent = one.hint;
    item.append(text, hint);
    item.addEventListener("click", () => { location.href = one.address; });
    return item;
  }));
}
paletteInput.addEventListener("input", async () => {
  const text = paletteInput.value.trim(), mine = ++paletteAsked, isId = /^[0-9a-f-]{6,36}$/i.test(text);
  const found = pageChoices(text);
  if (text && !isId) found.push({ text: `Search for “${text}”`, hint: "Search", address: `/search?q=${encodeURIComponent(text)}` }, { text: `Sessions with “${text}”`, hint: "Filter", address: `/sessions?q=${encodeURIComponent(text)}` });
  showChoices(found);
  if (text.length < 2) return;
  try {
    const page = isId ? await ask(`/sessions/${text}`).then((one) => [one.summary]) : (await ask(`/sessions?limit=6&q=${encodeURIComponent(text)}`)).items;
    // Below what stands there already: Enter must not mean something else by the time it is pressed.
    if (mine === paletteAsked) showChoices([...found, ...page.map((one) => ({ text: one.first_text?.slice(0, 90) || one.session_id, hint: one.client_name || "Session", address: `/sessions/${one.session_id}` }))], chosen);
  } catch { /* a half-typed filter is no mistake yet */ }
});
paletteInput.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    chosen = (chosen + (event.key === "ArrowDown" ? 1 : -1) + choices.length) % Math.max(1, choices.length);
    [...paletteList.children].forEach((one, at) => one.setAttribute("aria-selected", String(at === chosen)));
    paletteList.children[chosen]?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "Enter" && choices[chosen]) { event.preventDefault(); location.href = choices[chosen].address; }
});
[palette, $("[data-help-dialog]")].forEach((dialog) => dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); }));

// ---- completions of the filter
const field = $("[data-filter] [data-search]"), list = $("[data-completions]");
let fields = null, at = -1, completionsAsked = 0;
const values = new Map();
function hideCompletions() { completionsAsked++; if (list) { list.hidden = true; field.setAttribute("aria-expanded", "false"); at = -1; } }
async function namesOf(name) {
  if (!values.has(name)) values.set(name, await ask(`/values/${name}`));
  return values.get(name);
}
async function complete() {
  const mine = ++completionsAsked;
  const before = field.value.slice(0, field.selectionStart), word = /(\S*)$/.exec(before)[1], name = word.replace(/^-/, "");
  fields ??= await ask("/fields");
  let found = [];
  const colon = name.indexOf(":");
  if (colon < 0) found = fields.filter((one) => name && one.name.startsWith(name.toLowerCase())).map((one) => ({ text: `${one.name}:`, hint: one.meaning }));
  else {
    const one = fields.find((each) => each.name === name.slice(0, colon)), typed = name.slice(colon + 1).toLowerCase();
    if (one?.kind === "name" && !["session", "kind"].includes(one.name)) {
      const values = one.choices.length && one.name !== "outcome" ? one.choices : await namesOf(one.name);
      found = values.filter((value) => value.toLowerCase().includes(typed)).map((value) => ({ text: `${one.name}:${/\s|"/.test(value) ? JSON.stringify(value) : value} `, hint: "" }));
    } else if (one?.kind === "flag") found = ["true", "false"].map((value) => ({ text: `${one.name}:${value} `, hint: one.meaning }));
  }
  // An answer to what stood there before is none to what stands there now.
  if (mine !== completionsAsked) return;
  found = found.slice(0, 12);
  if (!found.length || document.activeElement !== field) { hideCompletions(); return; }
  list.replaceChildren(...found.map((one) => {
    const item = document.createElement("li"), hint = document.createElement("small");
    item.setAttribute("role", "option"); item.setAttribute("aria-selected", "false");
    item.append(one.text.trim(), hint); hint.textContent = one.hint;
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(one.text, word); });
    item.dataset.text = one.text; item.dataset.word = word;
    return item;
  }));
  list.hidden = false; field.setAttribute("aria-expanded", "true"); at = -1;
}
function take(text, word) {
  const end = field.selectionStart, minus = word.startsWith("-") ? "-" : "";
  field.setRangeText(minus + text, end - word.length, end, "end");
  hideCompletions();
  if (text.endsWith(":")) complete().catch(hideCompletions);
}
field?.addEventListener("input", () => complete().catch(hideCompletions));
field?.addEventListener("blur", hideCompletions);
field?.addEventListener("keydown", (event) => {
  if (list.hidden) return;
  const items = [...list.children];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); at = (at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length; items.forEach((one, n) => one.setAttribute("aria-selected", String(n === at))); }
  else if ((event.key === "Enter" && at >= 0) || event.key === "Tab") { const item = items[Math.max(0, at)]; event.preventDefault(); take(item.dataset.text, item.dataset.word); }
});

// ---- small histograms in tables
$$("[data-buckets]").forEach((element) => {
  const buckets = JSON.parse(element.dataset.buckets);
  if (!buckets.length) return;
  const low = Math.log(buckets[0][0]), high = Math.log(buckets[buckets.length - 1][0]), bins = new Array(24).fill(0);
  buckets.forEach(([ms, count]) => { bins[high > low ? Math.min(23, Math.floor((Math.log(ms) - low) / (high - low) * 24)) : 12] += count; });
  const most = Math.max(...bins), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 96 22"); svg.setAttribute("preserveAspectRatio", "none"); svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `From ${number.ms(buckets[0][0])} to ${number.ms(buckets[buckets.length - 1][0])}`);
  bins.forEach((count, n) => {
    if (!count) return;
    const rect = document.createElementNS(svg.namespaceURI, "rect"), height = Math.max(1.5, count / most * 22);
    for (const [name, value] of Object.entries({ x: n * 4, y: 22 - height, width: 3.2, height })) rect.setAttribute(name, value);
    svg.append(rect);
  });
  element.append(svg);
});

$("[data-density-toggle]").setAttribute("aria-pressed", String(document.documentElement.dataset.density === "dense"));
tellTimes();
connect();
