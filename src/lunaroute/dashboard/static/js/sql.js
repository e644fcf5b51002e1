// The SQL console: run, show as a table, draw what can be drawn, keep queries.
import { ask, askText, tell } from "./ask.js";
import { library } from "./draw.js";
import { number } from "./numbers.js";
import { visit } from "./visit.js";

const MOST_SHOWN = 500;
let statement, told, problem, result, chart, csv, last;

async function run() {
  problem.hidden = true;
  told.textContent = "Asking …";
  const began = performance.now();
  try {
    last = await ask("/sql", "POST", { statement: statement.value });
    told.textContent = `${last.rows.length.toLocaleString("en")} rows${last.is_cut ? ", and more" : ""} in ${number.ms(performance.now() - began)}`;
    showTable(last); await showChart(last);
    csv.disabled = false;
  } catch (error) {
    told.textContent = "";
    problem.textContent = error.message; problem.hidden = false;
    result.replaceChildren(); chart.hidden = true; csv.disabled = true;
  }
}
function showTable({ columns, rows }) {
  const table = document.createElement("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  table.className = "list compact";
  columns.forEach((name) => { const cell = document.createElement("th"); cell.scope = "col"; cell.textContent = name; if (rows.length && typeof rows[0][columns.indexOf(name)] === "number") cell.className = "num"; head.append(cell); });
  rows.slice(0, MOST_SHOWN).forEach((row) => {
    const line = body.insertRow();
    row.forEach((value, at) => {
      const cell = line.insertCell();
      if (typeof value === "number") cell.className = "num";
      if (columns[at] === "session_id" && typeof value === "string") { const link = document.createElement("a"); link.href = `/sessions/${encodeURIComponent(value)}`; link.textContent = value; link.className = "mono"; cell.append(link); }
      else cell.textContent = value === null ? "NULL" : String(value);
    });
  });
  result.replaceChildren(table);
}
async function showChart({ columns, rows }) {
  // The first column along, the first column of numbers up.
  const up = columns.findIndex((_, at) => at > 0 && rows.length && rows.every((row) => row[at] === null || typeof row[at] === "number"));
  const isTime = rows.every((row) => typeof row[0] === "string" && /^\d{4}-\d\d-\d\d/.test(row[0]));
  chart.hidden = up < 0 || rows.length < 2 || rows.length > 400;
  chart.replaceChildren();
  if (chart.hidden) return;
  await library();
  const style = getComputedStyle(document.documentElement), color = (name) => style.getPropertyValue(`--${name}`).trim();
  const points = rows.map((row, at) => [isTime ? Date.parse(row[0].replace(" ", "T") + (row[0].length > 10 ? "Z" : "T00:00:00Z")) / 1000 : at, row[up]]).sort((a, b) => a[0] - b[0]);
  const font = "11px Inter, system-ui, sans-serif", stroke = color("faint");
  new uPlot({
    width: chart.clientWidth - 28, height: 220, scales: { x: { time: isTime, range: isTime ? undefined : (_, low, high) => [low - 0.6, high + 0.6] }, y: { range: (_, low, high) => [Math.min(0, low), high * 1.06 || 1] } },
    axes: [{ stroke, font, grid: { show: false }, ticks: { show: false }, ...(isTime ? {} : { values: (_, ticks) => ticks.map((at) => Number.isInteger(at) && rows[at] ? String(rows[at][0]).slice(0, 14) : "") }) }, { stroke, font, grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, values: (_, ticks) => ticks.map(number.short) }],
    series: [{ label: columns[0], value: (_, at) => at === null ? "" : isTime ? new Date(at * 1000).toISOString().slice(0, 16).replace("T", " ") : String(rows[at]?.[0] ?? "") }, { label: columns[up], stroke: color("accent"), fill: color("accent"), width: 0, paths: uPlot.paths.bars({ size: [0.7, 46], radius: 0.12 }), points: { show: false } }],
  }, [points.map((one) => one[0]), points.map((one) => one[1])], chart);
}
function keep() {
  // A cell that a spreadsheet would run as a formula is disarmed.
  const cell = (value) => { let text = value === null ? "" : String(value); if (typeof value === "string" && /^[=+\-@]/.test(text)) text = `'${text}`; return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; };
  const text = [last.columns, ...last.rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" })); link.download = "lunaroute.csv"; link.click();
  URL.revokeObjectURL(link.href);
}
document.addEventListener("click", async (event) => {
  const chosen = event.target.closest("[data-statement]");
  if (chosen) { statement.value = chosen.dataset.statement; run(); return; }
  const removed = event.target.closest("[data-remove-query]");
  if (removed) { try { await ask("/queries", "DELETE", { name: removed.dataset.removeQuery }); removed.parentElement.remove(); } catch (error) { tell(error.message); } return; }
  if (event.target.closest("[data-save-query]")) {
    const name = await askText("Name of this query");
    if (!name) return;
    try { await ask("/queries", "PUT", { name, statement: statement.value }); visit(location.href, { isReplaced: true }); } catch (error) { tell(error.message); }
  }
});
export function arrive(main) {
  [statement, told, problem, result, chart, csv] = ["#statement", "[data-sql-told]", "[data-sql-problem]", "[data-sql-result]", "[data-sql-chart]", "[data-csv]"].map((name) => main.querySelector(name));
  main.querySelector("[data-sql]").addEventListener("submit", (event) => { event.preventDefault(); run(); });
  statement.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } });
  csv.addEventListener("click", keep);
  if (new URLSearchParams(location.search).has("statement")) run();
}
