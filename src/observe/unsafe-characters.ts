/**
 * What must not reach a log raw: control characters, C1 included (line ends, ANSI escapes and their 8-bit forms), the
 * Unicode line separators, and the invisible and direction-changing characters that make a line read as another.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Writes each of them as `\uXXXX`. */
export function escapeUnsafe(text: string): string {
  return text.replace(UNSAFE, unicodeEscape);
}

export function unicodeEscape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
