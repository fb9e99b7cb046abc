/** Colors as pages use them: readable on what they stand on, whatever an operator chose (WCAG 2.2 §1.4.3). */

type Rgb = readonly [number, number, number];

const WHITE: Rgb = [255, 255, 255];
const BLACK: Rgb = [0, 0, 0];
/** The card of a page in the dark (`static/style.css`). */
const DARK_CARD: Rgb = [23, 31, 34];
/** A little over what is asked for, since hovered links and notes stand on other grounds. */
const CONTRAST = 5;

/** An accent in light and in dark, and what goes with it. */
export type Accent = { readonly light: Shades; readonly dark: Shades };
export type Shades = {
  readonly accent: string;
  readonly strong: string;
  /** On the accent. */
  readonly text: string;
  /** A ground with a tint of it. */
  readonly note: string;
};

/** @param written `#rgb` or `#rrggbb`. @returns undefined for anything else. */
export function parseAccent(written: string): Accent | undefined {
  const [, short, long] = /^#(?:([0-9a-f]{3})|([0-9a-f]{6}))$/i.exec(written.trim()) ?? [];
  const hex = short?.replace(/./g, "$&$&") ?? long;
  if (hex === undefined) return undefined;
  const color = [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as unknown as Rgb;
  return {
    light: shadesOf(color, WHITE, BLACK, "#ffffff"),
    dark: shadesOf(color, DARK_CARD, WHITE, "#000000"),
  };
}

/** @param away what it is mixed with until it stands out from `ground`. */
function shadesOf(color: Rgb, ground: Rgb, away: Rgb, text: string): Shades {
  let share = 0;
  while (contrast(mix(color, away, share), ground) < CONTRAST) share += 0.05;
  const accent = mix(color, away, share);
  return {
    accent: hexOf(accent),
    strong: hexOf(mix(accent, away, 0.25)),
    text,
    note: hexOf(mix(ground, accent, 0.12)),
  };
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  return from.map((value, i) =>
    Math.round(value + ((to[i] ?? 0) - value) * Math.min(1, share)),
  ) as unknown as Rgb;
}

function hexOf(color: Rgb): string {
  return `#${color.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

function contrast(a: Rgb, b: Rgb): number {
  const [darker = 0, lighter = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (lighter + 0.05) / (darker + 0.05);
}

/** WCAG 2.2, "relative luminance". */
function luminance(color: Rgb): number {
  const [red = 0, green = 0, blue = 0] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
