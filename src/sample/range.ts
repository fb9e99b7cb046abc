/** The part of a download that was asked for, both ends included. */
export type ByteRange = { readonly first: number; readonly last: number };

/**
 * Reads a `Range` header for a body of `size` bytes (RFC 9110 §14.1.2, §14.2).
 * @returns the range; `"unsatisfiable"` (416) if it begins after the end; undefined where the header is to be ignored:
 *   another unit, bad syntax, or several ranges, which a server may answer with the whole.
 */
export function parseRange(header: string, size: number): ByteRange | "unsatisfiable" | undefined {
  const match = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header);
  if (match === null) return undefined;
  const [, from = "", to = ""] = match;
  if (from === "" && to === "") return undefined;
  if (from === "") {
    const suffix = Math.min(Number(to), size);
    return suffix === 0 ? "unsatisfiable" : { first: size - suffix, last: size - 1 };
  }
  const first = Number(from);
  if (to !== "" && Number(to) < first) return undefined;
  if (first >= size) return "unsatisfiable";
  return { first, last: to === "" ? size - 1 : Math.min(Number(to), size - 1) };
}
