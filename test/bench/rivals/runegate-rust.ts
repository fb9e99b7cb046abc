import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { BenchError, begin, type Listening, type Stage } from "../stage.ts";
import { findPeer } from "./find-peer.ts";

/** The proxy of the same name in Rust, 0.3.1 (`cargo install runegate`), with somebody who is signed in, where it is installed. */

export function findRustRunegate(): string | undefined {
  return findPeer("runegate") ?? undefined;
}

/** It listens nowhere else. */
const PORT = 7870;
/** Below it everything is the application's. */
export const RUST_PATH = "/proxy/";

/** No mail is sent. */
const EMAIL = ["host", "user", "pass"]
  .map((name) => `smtp_${name} = "none"\n`)
  .concat('smtp_port = 25\nfrom_address = "a@example.org"\nsubject = "-"\nbody_template = "{login_url}"\n')
  .join("");

/** @throws {BenchError} also where something listens at its port. */
export async function startRustRunegate(
  stage: Stage,
  program: string,
  upstreamPort: number,
): Promise<Listening & { readonly cookie: string }> {
  const folder = join(stage.directory, "runegate-rust");
  mkdirSync(join(folder, "config"), { recursive: true });
  writeFileSync(join(folder, "config/email.toml"), EMAIL);
  const secret = randomBytes(32).toString("hex");
  const proxy = await begin(stage, {
    name: "runegate-rust",
    // It reads its files from the folder it is started in.
    command: ["sh", "-c", `cd ${folder} && exec ${program}`],
    port: PORT,
    env: {
      RUNEGATE_ENV: "production",
      RUNEGATE_JWT_SECRET: secret,
      RUNEGATE_SESSION_KEY: randomBytes(64).toString("hex"),
      RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${upstreamPort}`,
      RUNEGATE_SECURE_COOKIE: "false",
      RUNEGATE_RATE_LIMIT_ENABLED: "false",
      RUNEGATE_IDENTITY_HEADERS: "true",
      RUNEGATE_WORKERS: "1",
    },
  });
  const token = await new SignJWT({ sub: "ada@example.org" })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuedAt()
    .setExpirationTime("15m")
    .sign(new TextEncoder().encode(secret));
  const response = await fetch(`http://127.0.0.1:${PORT}/auth?token=${token}`, { redirect: "manual" });
  const pair = response.headers.getSetCookie()[0]?.split(";", 1)[0];
  if (pair === undefined) throw new BenchError(`runegate in Rust signs nobody in: ${response.status}`);
  return { ...proxy, cookie: pair };
}
