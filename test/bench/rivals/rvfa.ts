import { randomBytes } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { BenchError, begin, freePort, type Listening, type Stage } from "../stage.ts";
import { startStores } from "../stores.ts";
import { findPeer } from "./find-peer.ts";

/** rusty-valkey-forward-auth as an edge asks it, and the Valkey that it asks in turn. */

const PROGRAM = "rusty-valkey-forward-auth";
const KEY_ID = "bench";
const AUDIENCE = "bench";

export function findRvfa(): string | undefined {
  return findPeer(PROGRAM) ?? undefined;
}

export type Rvfa = Listening & {
  readonly valkey: Listening;
  /** One that is good. */
  readonly token: string;
};

/** @returns undefined without a Valkey. @throws {BenchError} */
export async function startRvfa(stage: Stage, program: string): Promise<Rvfa | undefined> {
  const { choices } = await startStores(stage, "rvfa");
  const valkey = choices.find(({ name }) => name === "Valkey");
  if (valkey?.server === undefined) return undefined;
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const key = { ...(await exportJWK(publicKey)), kid: KEY_ID, alg: "RS256", use: "sig" };
  // Asked when it starts, and by nobody while anything is measured.
  const provider = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => Response.json({ keys: [key] }) });
  const issuer = `http://127.0.0.1:${provider.port}`;
  try {
    const port = freePort();
    const env = {
      ...{ PORT: String(port), VALKEY_URL: `redis://127.0.0.1:${valkey.server.port}/0` },
      ...{ TOKEN_SALT: randomBytes(32).toString("hex"), RUST_LOG: "warn", CONFIG_FILE: "none.toml" },
      ...{ OAUTH_ISSUER_URL: issuer, OAUTH_JWKS_URL: `${issuer}/keys` },
    };
    const rvfa = await begin(stage, { name: "rvfa", command: [program], port, env });
    const bearer = await new SignJWT({ sub: "ada" })
      .setProtectedHeader({ alg: "RS256", kid: KEY_ID })
      .setIssuer(issuer)
      .setAudience(AUDIENCE)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(privateKey);
    return { ...rvfa, valkey: valkey.server, token: await makeToken(port, bearer) };
  } finally {
    await provider.stop();
  }
}

/** It listens before it has its provider's keys. */
const PATIENCE_MS = 10_000;

async function makeToken(port: number, bearer: string): Promise<string> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/api/me/tokens`, {
      method: "POST",
      headers: { Authorization: `Bearer ${bearer}`, "Content-Type": "application/json" },
      body: "{}",
    });
    const text = await response.text();
    if (response.status === 201) return (JSON.parse(text) as { token: string }).token;
    if (performance.now() > giveUpAt)
      throw new BenchError(`${PROGRAM} makes no token: ${response.status} ${text}`);
    await Bun.sleep(100);
  }
}
