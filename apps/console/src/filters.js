// From what a person typed to a saved filter, and back to words. Pure.

/** {name, filter} of a form's values, or {problem}. Altitudes are feet, as the aircraft report them. */
export function compose({ name, lowest, highest, callsign, kinds = [] }) {
  const where = [];
  const low = number(lowest);
  const high = number(highest);
  if (Number.isNaN(low) || Number.isNaN(high)) return { problem: "An altitude is a number of feet, such as 30000." };
  if (low !== null && high !== null && low > high) return { problem: "The lowest altitude is above the highest." };
  if (low !== null) where.push({ attribute: "altitude", op: "gte", value: low });
  if (high !== null) where.push({ attribute: "altitude", op: "lte", value: high });
  const prefix = (callsign ?? "").trim().toUpperCase();
  if (prefix) {
    // text is ordered: everything that begins with SWR lies from SWR up to, but not including, SWS
    where.push({ attribute: "callsign", op: "gte", value: prefix });
    where.push({ attribute: "callsign", op: "lt", value: after(prefix) });
  }
  if (!where.length && !kinds.length) return { problem: "Give a callsign, an altitude or a kind." };
  const saved = { kinds, where };
  return { saved: { name: (name ?? "").trim() || describe(saved), ...saved } };
}

/** The words for a saved filter: "SWR… · above 30,000 ft". */
export function describe({ kinds = [], where = [] }) {
  const words = [...kinds];
  const at = (attribute, op) => where.find((one) => one.attribute === attribute && one.op === op)?.value;
  const prefix = at("callsign", "gte");
  if (prefix !== undefined && at("callsign", "lt") === after(String(prefix))) words.unshift(`${prefix}…`);
  const low = at("altitude", "gte");
  const high = at("altitude", "lte");
  if (low !== undefined && high !== undefined) words.push(`${feet(low)} to ${feet(high)} ft`);
  else if (low !== undefined) words.push(`above ${feet(low)} ft`);
  else if (high !== undefined) words.push(`below ${feet(high)} ft`);
  const rest = where.filter((one) => !["callsign", "altitude"].includes(one.attribute));
  words.push(...rest.map((one) => `${one.attribute} ${one.op} ${JSON.stringify(one.value ?? null)}`));
  return words.join(" · ") || "everything";
}

const after = (prefix) => prefix.slice(0, -1) + String.fromCodePoint(prefix.codePointAt(prefix.length - 1) + 1);
const feet = (value) => Number(value).toLocaleString("en");

function number(text) {
  const trimmed = String(text ?? "").trim();
  if (!trimmed) return null;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : Number.NaN;
}
