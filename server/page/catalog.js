// The providers and models that this server has, as far as the key may use them.

import { api } from "./api.js";
import { seed } from "./lanes.js";

// What is said in place of a model's name where each provider is to take its own default.
export const DEFAULT = "default";

/** Return the usable providers with all that is told of each. */
export async function providers() {
  const listed = await api("v1/providers");
  seed(listed.map(({ id }) => id));
  const details = listed.map(({ id }) => api(`v1/providers/${encodeURIComponent(id)}`).catch(() => null));
  return (await Promise.all(details)).filter(Boolean);
}

export function chats(provider) {
  return provider.params.includes("messages");
}

export function paints(provider) {
  return provider.image_models.length > 0;
}

/** Return the models for chats of those that are chosen, or of all; each once. */
export function modelsOf(all, chosen, key = "models") {
  const those = chosen.length ? all.filter(({ id }) => chosen.includes(id)) : all;
  return [...new Set(those.flatMap((provider) => provider[key]))];
}

/** Return the model to ask for, where none is named. */
export function fallbackModel(all, chosen) {
  if (chosen.length) return DEFAULT;
  return modelsOf(all.filter(chats), [])[0] ?? DEFAULT;
}
