// Filters in addresses.
// The address of this page with a filter of other times; null where there is nothing to filter.
export function spanAddress(since, until, step) {
  if (!document.querySelector("[data-filter]")) return null;
  const told = (at) => new Date(at * 1000).toISOString().slice(0, step === 86400 ? 10 : 16);
  const address = new URL(location.href), text = withoutTimes(address.searchParams.get("q") || "");
  address.searchParams.set("q", `${text} since:${told(since)} until:${told(until)}`.trim());
  ["after", "range"].forEach((name) => address.searchParams.delete(name));
  return address.pathname + address.search;
}
export const withoutTimes = (text) => text.replace(/(^|\s)(since|until):\S+/g, "$1").replace(/\s+/g, " ").trim();
