// What a filter can name, while it is typed.
import { ask } from "./ask.js";
import { onArrive } from "./visit.js";

let field = null, list = null, fields = null, at = -1, completionsAsked = 0;
const values = new Map();
export function hideCompletions() { completionsAsked++; if (list) { list.hidden = true; field.setAttribute("aria-expanded", "false"); at = -1; } }
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
function onKey(event) {
  if (list.hidden) return;
  const items = [...list.children];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); at = (at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length; items.forEach((one, n) => one.setAttribute("aria-selected", String(n === at))); }
  else if ((event.key === "Enter" && at >= 0) || event.key === "Tab") { const item = items[Math.max(0, at)]; event.preventDefault(); take(item.dataset.text, item.dataset.word); }
}
onArrive((main) => {
  hideCompletions();
  values.clear();
  field = main.querySelector("[data-filter] [data-search]"); list = main.querySelector("[data-completions]");
  field?.addEventListener("input", () => complete().catch(hideCompletions));
  field?.addEventListener("blur", hideCompletions);
  field?.addEventListener("keydown", onKey);
});
