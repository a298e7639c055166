// What numbers and codes are called.

const REASONS = {
  request_refused: "refused the request",
  denied: "refused the key",
  upstream_error: "server error",
  bad_response: "spoke nonsense",
};

/** Say why a racer failed. */
export function reason(code, status) {
  const words = REASONS[code] ?? String(code ?? "failed").replaceAll("_", " ");
  return status ? `${words} (${status})` : words;
}

export function ms(value) {
  if (value == null) return "–";
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 10000) return `${Math.round(value).toLocaleString("en")} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

export function count(value) {
  return value == null ? "–" : value.toLocaleString("en");
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function dollars(value) {
  if (value === 0) return "$0";
  return `$${value >= 0.01 ? value.toFixed(2) : value.toPrecision(2)}`;
}

export function ago(seconds) {
  const past = Date.now() / 1000 - seconds;
  if (past < 60) return "just now";
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return new Date(seconds * 1000).toLocaleDateString();
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString();
}
