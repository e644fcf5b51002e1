// The palette: pages, sessions and searches by their names.
import { ask } from "./ask.js";
import { visit } from "./visit.js";

const palette = document.querySelector("[data-palette-dialog]"), paletteInput = document.querySelector("[data-palette-input]"), paletteList = document.querySelector("[data-palette-list]");
let choices = [], chosen = 0, paletteAsked = 0;
export function openPalette() {
  if (!palette.open) palette.showModal();
  paletteInput.value = "";
  showChoices(pageChoices(""));
}
function pageChoices(text) {
  return [...document.querySelectorAll("#nav li a")].map((one) => ({ text: one.textContent.trim(), hint: "Page", address: one.getAttribute("href") })).filter((one) => one.text.toLowerCase().includes(text.toLowerCase()));
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
    item.addEventListener("click", () => go(one.address));
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
  } else if (event.key === "Enter" && choices[chosen]) { event.preventDefault(); go(choices[chosen].address); }
});
palette.addEventListener("click", (event) => { if (event.target === palette) palette.close(); });
function go(address) { palette.close(); visit(address); }
