import { failure, NOT_FOUND } from "../edge/answer.ts";
import { type OwnHandler, type OwnRoute, ownRoutes } from "../edge/own.ts";
import type { Claim } from "../edge/root-paths.ts";
import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { OIDC_PREFIX, OWN_PREFIX } from "../pages/paths.ts";
import type { HandlerName } from "./handlers.ts";
import { ENDPOINTS } from "./paths.ts";
import { createTokenRelay } from "./relay.ts";

/**
 * Being an OpenID provider for the applications of `clients.toml` (OpenID Connect Core 1.0). All but this is loaded when the
 * first of them asks.
 */
export function providerRoom(house: House): Room {
  const { clients, sessions, routes, metrics } = house;
  const { origin } = routes.home;
  const counter =
    clients.length === 0
      ? undefined
      : metrics.counter(
          "runegate_oidc_token_requests_total",
          "Requests of OpenID clients for tokens, and what came of them.",
          ["client", "grant", "outcome"],
        );
  // Without clients nothing is loaded, but for whoever asks which there are.
  const load = atFirstUse(async () =>
    (await import("./handlers.ts")).createProvider(house, (...labels) => counter?.add(1, ...labels)),
  );
  const book = async () => (await load()).book;
  const api = async () => (await import("./api.ts")).clientApi(house, book);
  if (clients.length === 0) return { name: "provider", api };
  let isRunning = false;
  const tellsClients = clients.some(({ backchannelLogoutUri }) => backchannelLogoutUri !== undefined);

  /** On the host of the base URL alone: it is the issuer. */
  const by =
    (name: HandlerName): OwnHandler =>
    async (arrival) =>
      arrival.origin === origin ? (await load()).handlers[name](arrival) : failure(arrival, NOT_FOUND);
  const at = (path: string, handlers: OwnRoute["handlers"]): OwnRoute => ({
    path: path.slice(OWN_PREFIX.length),
    handlers,
  });
  const claim: Claim = (_, asked) => asked === origin;
  const discovery = { GET: by("discovery") };

  // A session that ends ends what came of it, whichever process hears of it.
  sessions.onEnded((session) => {
    if (isRunning) void load().then(({ endings }) => endings.ended(session).catch(() => {}));
  });

  const own = ownRoutes("provider", [
    { chosen: "/.well-known/openid-configuration", claim, handlers: discovery },
    { chosen: "/.well-known/oauth-authorization-server", claim, handlers: discovery },
    at(`${OIDC_PREFIX}/.well-known/openid-configuration`, discovery),
    at(ENDPOINTS.jwks, { GET: by("jwks") }),
    at(ENDPOINTS.authorize, { GET: by("authorize"), POST: by("authorizeByForm") }),
    at(`${OIDC_PREFIX}/consent`, { POST: by("consent") }),
    at(ENDPOINTS.token, { POST: by("token") }),
    at(ENDPOINTS.userinfo, { GET: by("userinfo"), POST: by("userinfo") }),
    at(ENDPOINTS.introspect, { POST: by("introspect") }),
    at(ENDPOINTS.revoke, { POST: by("revoke") }),
    at(ENDPOINTS.endSession, { GET: by("endSessionShow"), POST: by("endSessionPost") }),
    at(ENDPOINTS.deviceAuthorization, { POST: by("deviceBegin") }),
    at(ENDPOINTS.device, { GET: by("deviceShow"), POST: by("deviceDecide") }),
  ]);

  const { tokenRelay } = house.options;
  const relay =
    tokenRelay.size === 0
      ? undefined
      : createTokenRelay(
          tokenRelay,
          async (...about) => (await load()).service.relayed(...about),
          house.clock,
        );

  return {
    ...own,
    relay,
    api,
    admin: async () => (await import("./screen.ts")).clientScreen(clients, book),
    async renewSeals() {
      const { service } = await load();
      const all = Object.values(service.records).map(({ renew }) => renew());
      const renewed = (await Promise.all([...all, service.keys.renew()])).reduce((sum, one) => sum + one, 0);
      return { what: "keys and records of the OpenID provider", renewed, left: 0 };
    },
    start() {
      isRunning = true;
      if (tellsClients) void load().then(({ endings }) => isRunning && endings.start());
    },
    replaced() {
      isRunning = false;
      if (tellsClients) void load().then(({ endings }) => endings.stop());
    },
    async stop() {
      isRunning = false;
      if (tellsClients) await (await load()).endings.stop();
    },
  };
}
