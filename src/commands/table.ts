/** Rows of text in columns as wide as they need to be; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
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
