import type { Fields } from "./logger.ts";

/**
 * Signed tokens have no place in a log, wherever they come from: somebody may put one into a path, and a server into its
 * reply. All JWTs begin alike, since their first part is the base64url of a JSON object.
 */
const TOKEN = /eyJ[\w-]+(?:\.[\w-]*)*/g;
const BEGINNING = "eyJ";

export function maskTokens(text: string): string {
  return text.includes(BEGINNING) ? text.replace(TOKEN, "***") : text;
}

/** The same for every text among the fields of a log line. The fields themselves if there is nothing to mask. */
export function maskFields(fields: Fields | undefined): Fields | undefined {
  for (const name in fields) {
    const value = fields[name];
    if (typeof value === "string" && value.includes(BEGINNING)) {
      return Object.fromEntries(
        Object.entries(fields).map(([key, field]) => [
          key,
          typeof field === "string" ? maskTokens(field) : field,
        ]),
      );
    }
  }
  return fields;
}
