import { tellsByToken } from "../access/identity-headers.ts";
import { isCurrent } from "../edge/answer.ts";
import type { Arrival } from "../edge/arrival.ts";
import { ownRoutes } from "../edge/own.ts";
import type { House, Room } from "../house.ts";
import { OWN_PREFIX } from "../pages/paths.ts";
import { OVERLAP_MS } from "./keys.ts";

const PATH = "/jwks.json";

/** The public keys, for whoever verifies tokens: a page of a browser, or an application that asks any host of ours. */
export function identityTokenRoom(house: Pick<House, "options" | "routes" | "identityKeys">): Room {
  const { downstreamJwks, downstreamJwksPath: chosen } = house.options;
  if (!(downstreamJwks ?? house.routes.all.some(tellsByToken))) return { name: "identity-token" };
  let set: ReturnType<typeof make> | undefined;

  function make() {
    // RFC 7517 §8.5.2: the set's type is one of its own.
    const body = JSON.stringify(house.identityKeys.published());
    return {
      body,
      headers: {
        "Content-Type": "application/jwk-set+json",
        "Cache-Control": `public, max-age=${OVERLAP_MS / 1000}`,
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
        ETag: `"${new Bun.CryptoHasher("sha256").update(body).digest("base64url").slice(0, 22)}"`,
      },
    };
  }

  function serve(arrival: Arrival): Response {
    set ??= make();
    const { body, headers } = set;
    return isCurrent(arrival, headers.ETag)
      ? new Response(null, { status: 304, headers })
      : new Response(body, { headers });
  }

  const routes = ownRoutes("identity-token", [{ path: PATH, chosen, handlers: { GET: serve } }]);
  return { ...routes, anyHost: [OWN_PREFIX + PATH, ...routes.chosenPaths.keys()] };
}
