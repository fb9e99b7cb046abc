import { findLanguage, type Listed } from "../pages/languages.ts";

/** More than any browser sends. */
const MOST_RANGES = 32;
const LONGEST = 1_000;

/**
 * The language that an `Accept-Language` (RFC 9110 §12.5.4) likes best of those that there are, by lookup (RFC 4647 §3.4). Of equal
 * weights, what comes first. Only the beginning is read of a field that is longer than anybody's.
 */
export function acceptedLanguage(field: string): Listed | undefined {
  const ranges = field
    .slice(0, LONGEST)
    .split(",", MOST_RANGES)
    .flatMap((text) => rangeIn(text) ?? []);
  return ranges
    .filter(({ weight }) => weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
    .map(({ range }) => lookUp(range))
    .find((found) => found !== undefined);
}

function rangeIn(text: string): { readonly range: string; readonly weight: number } | undefined {
  const [, range, weight = "1"] =
    /^\s*([a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?$/i.exec(
      text,
    ) ?? [];
  return range === undefined ? undefined : { range, weight: Number(weight) };
}

/** Takes subtags off the end, and a single letter with what it introduced, until there is a language of that name. */
export function lookUp(range: string): Listed | undefined {
  for (let tag = range; tag !== ""; tag = tag.replace(/(?:^|-)[^-]*$/, "").replace(/-[^-]$/, "")) {
    const found = findLanguage(tag);
    if (found !== undefined) return found;
  }
  return undefined;
}
