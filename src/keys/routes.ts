import type { AccountSection } from "../account/section.ts";
import { json } from "../edge/answer.ts";
import { ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { nameOf } from "../identity/principal.ts";
import { said } from "../pages/language.ts";
import { KEYS_PATH, OWN_PREFIX } from "../pages/paths.ts";
import { keyApi } from "./api.ts";
import { keyAuthenticator } from "./authenticator.ts";
import { keyCheck } from "./check.ts";
import { keySection } from "./page.ts";
import { CHECK_PATH, CONFIG_PATH, LIVE_PATH, ownPathOf } from "./root-paths.ts";
import { keyScreen } from "./screen.ts";
import { createUpkeep } from "./upkeep.ts";
import { keyPages } from "./visit.ts";

/** API keys, by which programs come to applications. */
export function keyRoom(house: House): Room {
  const { options } = house;
  /** Somebody who had their session may have made some, and even one who did not may know them. */
  const disown = async (email: Address) => {
    await house.apiKeys.revokeAll(email, { name: email, isAdmin: false });
  };
  // Keys that were made before are good again once they are switched on.
  if (!options.apiKeys) return { name: "keys", disown };
  const upkeep = createUpkeep(house);
  const room = {
    disown,
    api: () => keyApi(house),
    admin: keyScreen(house),
    start: upkeep.start,
    async stop() {
      upkeep.stop();
    },
    account: {
      id: "keys",
      async show({ found, look }) {
        const { length } = await house.apiKeys.list(nameOf(found.principal));
        return { heading: said("keys.heading"), content: keySection(look, length) };
      },
    } satisfies AccountSection,
    authenticators: [keyAuthenticator(house.keyProof, house.apiKeys, house.metrics)],
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
