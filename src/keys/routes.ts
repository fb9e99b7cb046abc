import type { House, Room } from "../house.ts";

/** API keys, by which programs come to applications. */
export function keyRoom({ options, keyAuthenticator }: House): Room {
  if (!options.apiKeys) return { name: "keys" };
  return { name: "keys", authenticators: [keyAuthenticator] };
}
