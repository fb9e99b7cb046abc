import type { House, Room } from "../house.ts";
import { keyAuthenticator } from "./authenticator.ts";

/** API keys, by which programs come to applications. */
export function keyRoom(house: House): Room {
  const { options, apiKeys, limiter, audit } = house;
  if (!options.apiKeys) return { name: "keys" };
  return {
    name: "keys",
    authenticators: [keyAuthenticator(apiKeys, limiter, audit)],
  };
}
