import { escapeUnsafe } from "../observe/unsafe-characters.ts";

/**
 * Rows of text in columns as wide as they need to be; the first row is the heading. What visitors or administrators wrote does
 * nothing to the terminal of whoever reads it.
 */
export function table(written: readonly (readonly string[])[]): string {
  const rows = written.map((row) => row.map(escapeUnsafe));
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `2026-01-31T12:34:56.789Z` to the minute. */
export function minutes(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")}Z`;
}
