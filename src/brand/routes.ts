import { lstatSync } from "node:fs";
import { join } from "node:path";
import { staticPlugin } from "@elysiajs/static";
import { failure, NOT_FOUND } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { OWN_PREFIX } from "../pages/paths.ts";

/** The files that Runegate's pages may use; nothing else of the directory is anybody's business. */
const SERVED = ["logo.svg", "logo.png", "style.css"] as const;

const ORIGIN = "http://runegate.invalid";

const HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
  // A picture that is opened by itself is a page, and an SVG may hold scripts.
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
};

/**
 * `/_runegate/brand/`: the operator's logo and style sheet, read at the start and again at a reload. Only plain files are
 * served: a link could lead anywhere.
 */
export function brandRoom({ options: { brand } }: Pick<House, "options">): Room {
  if (brand === undefined) return { name: "brand" };
  const there = SERVED.filter((name) => lstatSync(join(brand, name), { throwIfNoEntry: false })?.isFile());
  const paths = new Set(there.map((name) => `${OWN_PREFIX}/brand/${name}`));
  // Its default mode serves whatever is asked for, links and dotfiles too.
  const files = staticPlugin({
    assets: brand,
    prefix: `${OWN_PREFIX}/brand`,
    alwaysStatic: true,
    directive: "no-cache",
    maxAge: null,
    headers: HEADERS,
    silent: true,
  });

  async function serve({ request, id, lookOf, target }: Arrival): Promise<Response> {
    if (!paths.has(target.path)) return failure({ request, id, lookOf }, NOT_FOUND);
    const known = request.headers.get("if-none-match");
    const headers = known === null ? {} : { "If-None-Match": known };
    return (await files).handle(new Request(ORIGIN + target.path, { headers }));
  }

  return ownRoutes("brand", [{ path: "/brand/*", handlers: { GET: serve } }]);
}
