import { t } from "elysia";
import { badRequest } from "../edge/answer.ts";
import { ValueError } from "../option/value-error.ts";
import { DAY, duration, MINUTE } from "../option/values.ts";

/** In a body. */
export const UNTIL = t.Optional(
  t.Union([t.String({ maxLength: 40 }), t.Null()], {
    description: "how long from now, such as 30d, or a time (RFC 3339); null for no end",
  }),
);

const LONGEST = 3650 * DAY;

/** How long from now, such as 30d, or a time (RFC 3339). @returns a time; undefined where nothing was said. @throws {Refusal} */
export function untilIn(text: string | null | undefined, now: number): number | null | undefined {
  if (text === null || text === undefined) return text;
  if (/^\d{4}-\d{2}-\d{2}T/.test(text)) {
    const at = Date.parse(text);
    if (at > now && at <= now + LONGEST) return at;
    throw badRequest("until is no time to come.");
  }
  try {
    return now + duration("d", MINUTE, LONGEST)(text);
  } catch (error) {
    throw error instanceof ValueError ? badRequest(`until ${error.message}`) : error;
  }
}
