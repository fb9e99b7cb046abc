import { json } from "../edge/answer.ts";
import { ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import { KEYS_PATH, OWN_PREFIX } from "../pages/paths.ts";
import { keyApi } from "./api.ts";
import { keyAuthenticator } from "./authenticator.ts";
import { keyCheck } from "./check.ts";
import { CHECK_PATH, CONFIG_PATH, LIVE_PATH, ownPathOf } from "./root-paths.ts";
import { createUpkeep } from "./upkeep.ts";
import { keyPages } from "./visit.ts";

/** API keys, by which programs come to applications. */
export function keyRoom(house: House): Room {
  const { options } = house;
  if (!options.apiKeys) return { name: "keys" };
  const upkeep = createUpkeep(house);
  const room = {
    api: () => keyApi(house),
    start: upkeep.start,
    async stop() {
      upkeep.stop();
    },
    authenticators: [keyAuthenticator(house.keyProof, house.apiKeys)],
  };
  const pages = { path: withoutPrefix(KEYS_PATH, OWN_PREFIX), handlers: keyPages(house) };
  if (!options.tokenRootPaths) return { ...ownRoutes("keys", [pages]), ...room };
  return {
    ...ownRoutes("keys", [
      pages,
      { path: CHECK_PATH, handlers: { GET: keyCheck(house) } },
      // Runegate's own says it in other words.
      { chosen: LIVE_PATH, handlers: { GET: () => json({ status: "ok" }) } },
      { path: CONFIG_PATH, handlers: { GET: () => json(frontendConfig(options)) } },
    ]),
    ...room,
    ownPathOf,
    // The edge asks by whatever name it reaches Runegate.
    anyHost: [OWN_PREFIX + CHECK_PATH],
  };
}

/** What its page reads. */
function frontendConfig({ baseUrl, oidcIssuer }: Pick<House["options"], "baseUrl" | "oidcIssuer">) {
  return {
    ...{ app_name: "Runegate", api_base_url: baseUrl, api_docs_path: "/docs", docs_html: null },
    ...{ oidc_authority: oidcIssuer ?? null, oidc_client_id: null, oidc_redirect_uri: null },
  };
}
