import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BenchError, begin, freePort, type Listening, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** oauth2-proxy as it is asked by an edge, with somebody who is signed in: by a password, so that no identity provider is needed. */

const USER = "ada";
const PASSWORD = "bench";

export function findOauth2Proxy(): string | undefined {
  return findPeer("oauth2-proxy") ?? undefined;
}

/** @param upstream what it passes requests on to; by itself it answers them. @throws {BenchError} */
export async function startOauth2Proxy(
  stage: Stage,
  program: string,
  { name = "oauth2-proxy", upstream = "static://200" } = {},
): Promise<Listening & { readonly cookie: string }> {
  const port = freePort();
  const passwords = join(stage.directory, `${name}.htpasswd`);
  writeFileSync(
    passwords,
    `${USER}:${await Bun.password.hash(PASSWORD, { algorithm: "bcrypt", cost: 4 })}\n`,
  );
  const command = [
    program,
    ...[
      `--http-address=127.0.0.1:${port}`,
      `--upstream=${upstream}`,
      "--email-domain=*",
      "--cookie-secure=false",
    ],
    ...["--provider=github", "--client-id=none", "--client-secret=none", `--htpasswd-file=${passwords}`],
    ...[
      "--reverse-proxy=true",
      "--set-xauthrequest=true",
      `--cookie-secret=${randomBytes(16).toString("hex")}`,
    ],
  ];
  const proxy = await begin(stage, { name, command, port });
  const response = await fetch(`http://127.0.0.1:${port}/oauth2/sign_in`, {
    method: "POST",
    redirect: "manual",
    body: new URLSearchParams({ username: USER, password: PASSWORD, rd: "/" }),
  });
  const cookie = response.headers.getSetCookie().find((line) => line.startsWith("_oauth2_proxy="));
  const pair = cookie?.split(";", 1)[0];
  if (pair === undefined) throw new BenchError(`oauth2-proxy signs nobody in: ${response.status}`);
  return { ...proxy, cookie: pair };
}
