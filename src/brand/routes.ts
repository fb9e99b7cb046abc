import { failure, isCurrent, NOT_FOUND } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import type { Accent, Shades } from "./color.ts";
import { readBrand } from "./files.ts";
import { BRAND_PATH } from "./look.ts";

const ORIGIN = "http://runegate.invalid";

const HEADERS = {
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
  // A picture that is opened by itself is a page, and an SVG may hold scripts.
  "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
};

/** `/_runegate/brand/`: the operator's logo and style sheet, and one that is made of the accent. */
export function brandRoom({ options: { brand } }: Pick<House, "options">): Room {
  if (brand === undefined) return { name: "brand" };
  const { served, accent } = readBrand(brand);
  const paths = new Set([...served].map((name) => `${BRAND_PATH}/${name}`));
  const accentSheet = accent && sheetOf(accent);
  const files = atFirstUse(async () => {
    const { staticPlugin } = await import("@elysiajs/static");
    // Its default mode serves whatever is asked for, links and dotfiles too.
    const settings = { assets: brand, prefix: BRAND_PATH, headers: HEADERS };
    return staticPlugin({
      ...settings,
      alwaysStatic: true,
      directive: "no-cache",
      maxAge: null,
      silent: true,
    });
  });

  async function serve(arrival: Arrival): Promise<Response> {
    const { request, target } = arrival;
    if (target.path === `${BRAND_PATH}/accent.css` && accentSheet !== undefined) {
      return serveSheet(arrival, accentSheet);
    }
    if (!paths.has(target.path)) return failure(arrival, NOT_FOUND);
    const known = request.headers.get("if-none-match");
    const headers = known === null ? {} : { "If-None-Match": known };
    return (await files()).handle(new Request(ORIGIN + target.path, { headers }));
  }

  return ownRoutes("brand", [{ path: "/brand/*", handlers: { GET: serve } }]);
}

function serveSheet(arrival: Arrival, sheet: string): Response {
  const etag = `"${new Bun.CryptoHasher("sha256").update(sheet).digest("hex").slice(0, 12)}"`;
  const headers = {
    ...HEADERS,
    "Cache-Control": "no-cache",
    "Content-Type": "text/css; charset=utf-8",
    ETag: etag,
  };
  return isCurrent(arrival, etag)
    ? new Response(null, { status: 304, headers })
    : new Response(sheet, { headers });
}

/** In the place of ours, whose names they have (`static/style.css`). */
function sheetOf({ light, dark }: Accent): string {
  return `:root { ${variables(light)} }\n@media (prefers-color-scheme: dark) { :root { ${variables(dark)} } }\n`;
}

function variables({ accent, strong, text, note }: Shades): string {
  return (
    `--accent: ${accent}; --accent-strong: ${strong}; --on-accent: ${text}; --note: ${note}; ` +
    `--note-text: ${strong}; --glow: ${note};`
  );
}
