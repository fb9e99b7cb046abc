import { type Static, type TSchema, t } from "elysia";
import type { Principal } from "../identity/principal.ts";
import { isOperator } from "./own.ts";

/** Lists in pages: in an order that stays, from behind the last item of the page before. */

/** Of the query; what a page called `next`. */
export const CURSOR = t.Optional(
  t.String({ description: "`next` of the page before", pattern: "^[A-Za-z0-9_-]+$", maxLength: 600 }),
);

export const TIME = t.String({ format: "date-time" });

export const NO_CONTENT = t.Void({ description: "Done" });

/** An object without fields of other names: what is sent with one is refused, and so is what would be answered. */
export function closed<Properties extends Record<string, TSchema>>(properties: Properties) {
  return t.Object(properties, { additionalProperties: false });
}

export function pageOf<Item extends TSchema>(item: Item) {
  return closed({
    items: t.Array(item),
    next: t.Union([t.String(), t.Null()], { description: "cursor of the next page, if there is one" }),
  });
}

/** The command line asks for everything, and each page costs looking through all of it. */
const MOST = { user: 200, operator: 10_000 };

export function pageSizeFor(principal: Principal): number {
  return MOST[isOperator(principal) ? "operator" : "user"];
}

/**
 * @param keyOf different for each, and says nothing that the item does not.
 * @returns the page behind `cursor`, by key.
 */
export function takePage<Item>(
  all: readonly Item[],
  keyOf: (item: Item) => string,
  cursor: string | undefined,
  principal: Principal,
): { readonly items: Item[]; readonly next: string | null } {
  const after = cursor === undefined ? undefined : Buffer.from(cursor, "base64url").toString();
  const keyed = all.map((item) => ({ key: keyOf(item), item }));
  const rest = after === undefined ? keyed : keyed.filter(({ key }) => key > after);
  rest.sort((a, b) => (a.key < b.key ? -1 : 1));
  const page = rest.slice(0, pageSizeFor(principal));
  const last = page.at(-1);
  return {
    items: page.map(({ item }) => item),
    next:
      page.length === rest.length || last === undefined ? null : Buffer.from(last.key).toString("base64url"),
  };
}

/** RFC 3339, in UTC and with milliseconds. */
export function timeOf(milliseconds: number): Static<typeof TIME> {
  return new Date(milliseconds).toISOString();
}
