// Which columns the list of sessions shows, and in which order: chosen by box, drag or key, kept in this browser.
import { tell } from "./ask.js";

const KEPT = "columns", PLACED = new WeakMap();
let list = null, table = null, usual = [];

export function arrive(main) {
  list = main.querySelector("[data-columns]"); table = main.querySelector("#sessions");
  usual = names();
  const { hidden, order } = kept();
  place(order);
  items().forEach((one) => { box(one).checked = !hidden.includes(nameOf(one)); });
  list.addEventListener("change", choose);
  list.addEventListener("click", (event) => { const button = event.target.closest("[data-move]"); if (button) move(button.closest("li"), +button.dataset.move, button); });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || !event.altKey) return;
    event.preventDefault();
    move(event.target.closest("li"), step, event.target);
  });
  main.querySelector("[data-columns-usual]").addEventListener("click", () => { items().forEach((one) => { box(one).checked = true; }); place(usual); choose(); });
  drag();
  show();
}
// Rows that came later.
document.addEventListener("htmx:afterSwap", () => { if (table?.isConnected) show(); });

const items = () => [...list.children], nameOf = (item) => item.dataset.column, names = () => items().map(nameOf), box = (item) => item.querySelector("input");

function kept() {
  let { hidden = [], order = [] } = {};
  try {
    const found = JSON.parse(localStorage.getItem(KEPT)) ?? {};
    // Before there was an order it was the hidden ones alone.
    hidden = Array.isArray(found) ? found : found.hidden ?? []; order = found.order ?? [];
  } catch { localStorage.removeItem(KEPT); }
  const known = order.filter((name) => usual.includes(name));
  return { hidden, order: [...known, ...usual.filter((name) => !known.includes(name))] };
}
function place(order) { list.append(...order.map((name) => items().find((one) => nameOf(one) === name))); }
function choose() {
  localStorage.setItem(KEPT, JSON.stringify({ hidden: items().filter((one) => !box(one).checked).map(nameOf), order: names() }));
  show();
}
function show() {
  if (!table?.isConnected) return;
  // By id, as a change replaces the rows' frame.
  table = document.getElementById("sessions");
  const order = names(), told = order.join(" ");
  table.dataset.hide = items().filter((one) => !box(one).checked).map(nameOf).join(" ");
  table.querySelectorAll("tr").forEach((row) => {
    if ((PLACED.get(row) ?? usual.join(" ")) === told || row.classList.contains("more")) return;
    row.append(...order.map((name) => row.querySelector(`.col-${name}`)));
    PLACED.set(row, told);
  });
}
function move(item, step, focused) {
  const all = items(), to = all.indexOf(item) + step;
  if (!all[to]) return;
  if (step < 0) all[to].before(item); else all[to].after(item);
  focused.focus();
  choose();
  tell(`${item.querySelector("label").textContent.trim()}: column ${to + 1} of ${all.length}`);
}
function drag() {
  let dragged = null;
  list.addEventListener("dragstart", (event) => { dragged = event.target.closest("li"); event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", nameOf(dragged)); dragged.classList.add("dragged"); });
  list.addEventListener("dragover", (event) => {
    const over = event.target.closest("li");
    if (!dragged) return;
    event.preventDefault();
    if (!over || over === dragged) return;
    const { top, height } = over.getBoundingClientRect();
    if (event.clientY < top + height / 2) over.before(dragged); else over.after(dragged);
  });
  list.addEventListener("drop", (event) => event.preventDefault());
  list.addEventListener("dragend", () => { dragged?.classList.remove("dragged"); dragged = null; choose(); });
}
