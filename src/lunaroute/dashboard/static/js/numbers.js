// Numbers for people, as the server writes them.
function short(value) {
  if (value === null || value === undefined) return "–";
  for (const [size, unit] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) if (Math.abs(value) >= size * 0.9995) return `${+(value / size).toPrecision(3)}${unit}`;
  return `${+value.toFixed(2)}`;
}
function usd(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "$0";
  if (Math.abs(value) >= 1) return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return `$${+value.toPrecision(4)}`;
}
function ms(value) {
  if (value === null || value === undefined) return "–";
  if (value < 10) return `${value.toFixed(2)} ms`;
  if (value < 999.5) return `${Math.round(value)} ms`;
  if (value < 59950) return `${+(value / 1000).toPrecision(3)} s`;
  const seconds = Math.round(value / 1000), minutes = Math.floor(seconds / 60);
  return seconds < 3600 ? `${minutes} m ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}
function percent(value) { return value === null || value === undefined ? "–" : `${+(value * 100).toFixed(value < 0.01 ? 2 : 1)} %`; }
export const number = { short, usd, ms, percent };
