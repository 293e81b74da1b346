// What the reader has chosen, in localStorage; without storage, for as long as the page is open.

const KEY = "hearth.settings";

// Limits are the server's; `whole` for integers.
export const SAMPLING = [
  { name: "temperature", min: 0, max: 2, step: 0.1 },
  { name: "top_p", min: 0, max: 1, step: 0.05 },
  { name: "max_tokens", min: 1, max: 524288, step: 1, whole: true },
  { name: "seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true },
];

const DEFAULTS = { theme: "auto", language: "", model: "", system: "" };

function inRange(value, { min, max, whole }) {
  return typeof value === "number" && value >= min && value <= max &&
         (!whole || Number.isSafeInteger(value));
}

// Text from a field: undefined for empty, NaN for what will not do.
export function parseSampling(text, rule) {
  if (text.trim() === "") return undefined;
  const value = Number(text);
  return inRange(value, rule) ? value : NaN;
}

function read() {
  let saved = {};
  try {
    saved = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    // No storage, or spoilt: start from the defaults.
  }
  const result = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) {
    if (typeof saved[name] === "string") result[name] = saved[name];
  }
  for (const rule of SAMPLING) {
    if (inRange(saved[rule.name], rule)) result[rule.name] = saved[rule.name];
  }
  return result;
}

export const settings = read();

export function saveSettings(changes) {
  Object.assign(settings, changes);
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // Full or forbidden: the choice holds until the page is closed.
  }
}

export function samplingFields() {
  const fields = {};
  for (const { name } of SAMPLING) {
    if (settings[name] !== undefined) fields[name] = settings[name];
  }
  return fields;
}

// The API key is no setting: it is gone when the tab is closed, and no other tab sees it.
const SECRET = "hearth.key";
let key = "";
try {
  key = sessionStorage.getItem(SECRET) ?? "";
} catch {
  // No storage: the key holds until the page is closed.
}

export function apiKey() {
  return key;
}

// What no header can carry is no key of any server's.
export function keyFits(text) {
  return /^[\x21-\x7e]*$/.test(text.trim());
}

export function saveApiKey(text) {
  key = text.trim();
  try {
    if (key === "") sessionStorage.removeItem(SECRET);
    else sessionStorage.setItem(SECRET, key);
  } catch {
    // As above.
  }
}
