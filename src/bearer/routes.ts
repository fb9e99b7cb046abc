import type { House, Room } from "../house.ts";
import { atFirstUse } from "../late.ts";
import { bearerIn } from "./bearer.ts";
import { providerUrl } from "./options.ts";

/** Programs that come with a token of an OpenID provider, to the management API and nowhere else. Loaded with the first of them. */
export function bearerRoom(house: Pick<House, "options" | "policy" | "clock" | "loggers" | "fetch">): Room {
  const { options, policy, clock, fetch } = house;
  const { oidcIssuer: issuer, oidcJwksUrl: jwksUrl } = options;
  if (issuer === undefined) return { name: "bearer" };
  const load = atFirstUse(async () => {
    const { bearerAuthenticator } = await import("./authenticator.ts");
    const { createProviderKeys } = await import("./provider-keys.ts");
    const log = house.loggers("edge");
    const keys = createProviderKeys({ issuer, jwksUrl, fetch, clock, log, checkUrl: providerUrl });
    return bearerAuthenticator({ options, issuer, keys, policy, clock, log });
  });
  return {
    name: "bearer",
    apiAuthenticators: [
      {
        kind: "bearer",
        async authenticate({ headers, origin }) {
          const token = bearerIn(headers.authorization);
          return token === undefined ? undefined : (await load())(token, origin);
        },
      },
    ],
  };
}
