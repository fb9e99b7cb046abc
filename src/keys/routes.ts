import type { AccountSection } from "../account/section.ts";
import { json } from "../edge/answer.ts";
import { lateHandlers, ownRoutes } from "../edge/own.ts";
import { withoutPrefix } from "../edge/target.ts";
import type { House, Room } from "../house.ts";
import type { Address } from "../identity/address.ts";
import { nameOf } from "../identity/principal.ts";
import { atFirstUse } from "../late.ts";
import { said } from "../pages/language.ts";
import { KEYS_PATH, OWN_PREFIX } from "../pages/paths.ts";
import { keyAuthenticator } from "./authenticator.ts";
import { CHECK_PATH, CONFIG_PATH, LIVE_PATH, ownPathOf } from "./root-paths.ts";
import { createUpkeep } from "./upkeep.ts";

/** API keys, by which programs come to applications. Their pages and API are loaded when they are first asked for. */
export function keyRoom(house: House): Room {
  const { options } = house;
  /** Somebody who had their session may have made some, and even one who did not may know them. */
  const disown = async (email: Address) => {
    await house.apiKeys.revokeAll(email, { name: email, isAdmin: false });
  };
  const renewSeals = async () => ({ what: "API keys", renewed: await house.apiKeys.renewSeals(), left: 0 });
  // Keys that were made before are good again once they are switched on.
  if (!options.apiKeys) return { name: "keys", disown, renewSeals };
  const upkeep = createUpkeep(house);
  const room = {
    ...{ disown, renewSeals },
    api: async () => (await import("./api.ts")).keyApi(house),
    admin: async () => (await import("./screen.ts")).keyScreen(house),
    start: upkeep.start,
    replaced: upkeep.stop,
    async stop() {
      upkeep.stop();
    },
    account: {
      id: "keys",
      async show({ found, look }) {
        const { keySection } = await import("./page.ts");
        const { length } = await house.apiKeys.list(nameOf(found.principal));
        return { heading: said("keys.heading"), content: keySection(look, length) };
      },
    } satisfies AccountSection,
    authenticators: [keyAuthenticator(house.keyProof, house.apiKeys, house.metrics)],
  };
  const visit = lateHandlers(atFirstUse(async () => (await import("./visit.ts")).keyPages(house)));
  const pages = {
    path: withoutPrefix(KEYS_PATH, OWN_PREFIX),
    handlers: { GET: visit("GET"), POST: visit("POST") },
  };
  if (!options.tokenRootPaths) return { ...ownRoutes("keys", [pages]), ...room };
  const check = atFirstUse(async () => ({ GET: (await import("./check.ts")).keyCheck(house) }));
  return {
    ...ownRoutes("keys", [
      pages,
      { path: CHECK_PATH, handlers: { GET: lateHandlers(check)("GET") } },
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
