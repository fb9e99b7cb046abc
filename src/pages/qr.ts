/** QR codes (ISO/IEC 18004). What makes them is loaded at first use. */
export type Qr = {
  /** Modules to a side, with the quiet zone around them. */
  readonly size: number;
  isDark(x: number, y: number): boolean;
};

/**
 * @param correction how much of it may be unreadable: some 15 %, or 7 where it has to be small
 * @param quiet modules that are left light around it: the standard wants 4, and readers do with less
 */
export async function qrOf(text: string, correction: "L" | "M" = "M", quiet = 4): Promise<Qr> {
  const { correction: levels, generate } = await import("lean-qr");
  const code = generate(text, { minCorrectionLevel: levels[correction] });
  // What lies outside of it is light.
  return { size: code.size + 2 * quiet, isDark: (x, y) => code.get(x - quiet, y - quiet) };
}

/** As the path of an SVG: a rectangle for each run of dark modules in a row. */
export function pathOf({ size, isDark }: Qr): string {
  let path = "";
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let run = 0;
      while (isDark(x + run, y)) run++;
      if (run > 0) path += `M${x} ${y}h${run}v1h-${run}z`;
      x += run;
    }
  }
  return path;
}

/** Black on white by their number in the 256 colors, which no theme changes. */
const COLORS = "\x1b[38;5;16;48;5;231m";
const PLAIN = "\x1b[0m";

/**
 * As lines of half blocks, two rows of modules in each.
 * @param color false for what is no terminal: dark modules are then drawn, and the rest is whatever is behind.
 */
export function linesOf({ size, isDark }: Qr, color: boolean): string[] {
  const blocks = [" ", "▀", "▄", "█"];
  return Array.from({ length: Math.ceil(size / 2) }, (_, row) => {
    const line = Array.from({ length: size }, (_, x) => {
      const [upper, lower] = [isDark(x, 2 * row), isDark(x, 2 * row + 1)];
      return blocks[Number(upper) + 2 * Number(lower)];
    }).join("");
    return color ? COLORS + line + PLAIN : line;
  });
}
