import type { House, Room } from "../house.ts";
import { bearerAuthenticator } from "./authenticator.ts";
import { providerUrl } from "./options.ts";
import { createProviderKeys } from "./provider-keys.ts";

/** Programs that come with a token of an OpenID provider, to the management API and nowhere else. */
export function bearerRoom(house: Pick<House, "options" | "policy" | "clock" | "loggers" | "fetch">): Room {
  const { options, policy, clock, fetch } = house;
  const { oidcIssuer: issuer, oidcJwksUrl: jwksUrl } = options;
  if (issuer === undefined) return { name: "bearer" };
  const log = house.loggers("edge");
  const keys = createProviderKeys({ issuer, jwksUrl, fetch, clock, log, checkUrl: providerUrl });
  return {
    name: "bearer",
    apiAuthenticators: [bearerAuthenticator({ options, issuer, keys, policy, clock, log })],
  };
}
