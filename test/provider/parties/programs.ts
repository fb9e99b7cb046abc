import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Place } from "./party.ts";

/** What the programs in `programs/` have in common. */

export const newSecret = () => randomBytes(32).toString("base64url");

export const program = (name: string) => join(import.meta.dir, "programs", name);

/** What a program is told of where it stands. */
export const surroundings = ({ port, origin, issuer, client, directory }: Place) => ({
  HOME: directory,
  PORT: String(port),
  ORIGIN: origin,
  ISSUER: issuer,
  CLIENT_ID: client.id,
  ...(client.secret === undefined ? {} : { CLIENT_SECRET: client.secret }),
  // Whatever proxies whoever runs it has, they are not meant for it.
  NO_PROXY: "*",
  no_proxy: "*",
});

export type Metadata = {
  readonly authorization_endpoint: string;
  readonly token_endpoint: string;
  readonly userinfo_endpoint: string;
  readonly end_session_endpoint: string;
};

export async function discover(issuer: string): Promise<Metadata> {
  return (await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()) as Metadata;
}
