import { mergeQuarters, type Quarter } from "./day.ts";
import type { Family } from "./registry.ts";
import { mergeFamilies } from "./text.ts";

/** What one process has measured: plain data, which processes send to each other. */
export type Measures = { readonly families: readonly Family[]; readonly quarters: readonly Quarter[] };

export const NOTHING: Measures = { families: [], quarters: [] };

/** What is left of processes that have ended: what they counted, so that no sum goes down. What they held is gone. */
export function mergeEnded(all: readonly Measures[]): Measures {
  const counted = all.map(({ families }) => families.filter(isCounted));
  return { families: mergeFamilies(counted), quarters: mergeQuarters(all.map(({ quarters }) => quarters)) };
}

function isCounted({ name, bounds }: Family): boolean {
  return bounds !== undefined || name.endsWith("_total");
}
