import type { Family, Merge, Sample } from "./registry.ts";

/** What several processes have counted, as one, and as the text that Prometheus reads (exposition format, version 0.0.4). */

export const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const MERGED: Readonly<Record<Merge, (a: number, b: number) => number>> = {
  sum: (a, b) => a + b,
  max: Math.max,
  min: Math.min,
  main: (a) => a,
};

/** By name. */
export function mergeFamilies(snapshots: readonly (readonly Family[])[]): Family[] {
  const byName = Map.groupBy(snapshots.flat(), ({ name }) => name);
  return [...byName.values()].flatMap((families) => {
    const [first] = families;
    return first === undefined ? [] : { ...first, samples: mergeSamples(families, MERGED[first.merge]) };
  });
}

function mergeSamples(families: readonly Family[], merge: (a: number, b: number) => number): Sample[] {
  const merged = new Map<string, Sample>();
  for (const [labels, numbers] of families.flatMap(({ samples }) => samples)) {
    const key = JSON.stringify(labels);
    const [, before] = merged.get(key) ?? [];
    merged.set(key, [labels, before?.map((one, at) => merge(one, numbers[at] ?? 0)) ?? numbers]);
  }
  return [...merged.values()];
}

/** @returns lines, each with its end. */
export function renderFamilies(families: readonly Family[]): string {
  return families.map(render).join("");
}

function render({ name, help, labels, bounds, samples }: Family): string {
  const type = bounds !== undefined ? "histogram" : name.endsWith("_total") ? "counter" : "gauge";
  const head = `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${type}\n`;
  const line = (suffix: string, names: readonly string[], values: readonly string[], value: number) =>
    `${name}${suffix}${labelsOf(names, values)} ${textOf(value)}\n`;
  const lines = samples.flatMap(([values, numbers]) => {
    if (bounds === undefined) return line("", labels, values, numbers[0] ?? 0);
    let count = 0;
    const buckets = [...bounds, Number.POSITIVE_INFINITY].map((bound, at) => {
      count += numbers[at] ?? 0;
      return line("_bucket", [...labels, "le"], [...values, textOf(bound)], count);
    });
    const sum = line("_sum", labels, values, numbers.at(-1) ?? 0);
    return [...buckets, sum, line("_count", labels, values, count)];
  });
  return head + lines.join("");
}

function labelsOf(names: readonly string[], values: readonly string[]): string {
  if (names.length === 0) return "";
  return `{${names.map((name, at) => `${name}="${escapeLabel(values[at] ?? "")}"`).join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function textOf(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? "+Inf" : "-Inf";
}
