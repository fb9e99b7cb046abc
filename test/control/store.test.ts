import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../support/needs.ts";
import { startValkey } from "../support/valkey.ts";
import {
  type Environment,
  environment,
  freePort,
  isSignedIn,
  type Place,
  REPOSITORY,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** The command line while no instance runs: it works on the store itself, with the same words. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

let place: Place;
let env: Environment;
let file: string;
const cookies: Record<string, string> = {};

const cli = (...args: string[]) => runegate(args, env, place.directory);
const start = () => run([join(REPOSITORY, "src/main.ts")], env, place.directory);

beforeAll(async () => {
  place = temporaryPlace();
  file = join(place.directory, "state.db");
  env = environment(place, await freePort(), {
    RUNEGATE_STORE: `sqlite:${file}`,
    RUNEGATE_SESSION_KEY: "5e".repeat(64),
  });
});
afterAll(() => place[Symbol.dispose]());

test("before the first start there is nothing, and nothing is made", async () => {
  expect(await cli("users")).toEqual({
    code: 1,
    out: "",
    err: `Nothing is kept yet: there is no ${file}.`,
  });
  expect(existsSync(file)).toBe(false);
});

test("sessions of an instance that has stopped are listed, and end for good", async () => {
  const gateway = await start();
  for (const name of ["ada", "bob"]) {
    cookies[name] = await signInWith((await cli("link", `${name}@example.org`)).out);
  }
  const [running] = JSON.parse((await cli("sessions", "--json")).out) as unknown[];
  expect(await gateway.stop()).toBe(0);

  const listed = JSON.parse((await cli("sessions", "--json")).out) as { email: string; id: string }[];
  expect(listed.map(({ email }) => email)).toEqual(["ada@example.org", "bob@example.org"]);
  expect(listed[0] as unknown).toEqual(running);

  const revoked = await cli("sessions", "revoke", "ada@example.org");
  expect([revoked.code, revoked.out]).toEqual([0, "1 session ended."]);
  // There is no log of an instance for it to be in.
  expect(revoked.err).toContain("audit");
  expect(revoked.err).toContain("session_revoked");
  expect((await cli("sessions", "revoke", "ada@example.org")).code).toBe(1);

  const again = await start();
  try {
    expect(await isSignedIn(again.url, cookies.ada ?? "")).toBe(false);
    expect(await isSignedIn(again.url, cookies.bob ?? "")).toBe(true);
  } finally {
    expect(await again.stop()).toBe(0);
  }
});

test("users are those who are allowed by name and those who are signed in", async () => {
  const users = JSON.parse((await cli("users", "--json")).out) as Record<string, unknown>[];
  expect(users).toMatchObject([
    { email: "ada@example.org", allowed: true, sessions: 0, seen_at: null },
    { email: "bob@example.org", allowed: true, sessions: 1, seen_at: expect.stringMatching(/^20/) },
  ]);
  const { out } = await runegate(
    ["users"],
    { ...env, RUNEGATE_ALLOWED_EMAILS: "ada@example.org" },
    place.directory,
  );
  expect(out.split("\n")).toHaveLength(3);
  expect(out).toMatch(/^ADDRESS +MAY SIGN IN +SESSIONS +LAST USE\nada@example\.org +yes +0\n/);
  expect(out).toMatch(/\nbob@example\.org +no +1 +20[\d-]+ [\d:]+Z$/);
});

const valkey = needs("redis-server");

test.skipIf(valkey === undefined).each([
  ["a wrong password", "ann:wrong@", "does not accept the user and password"],
  ["no password", "", "password"],
])("with %s for the Valkey server every command says so, and fails", async (_, userinfo, words) => {
  const server = await startValkey(valkey ?? "", {
    userinfo: "default:right",
    lines: ["requirepass right"],
  });
  try {
    const denied = { ...env, RUNEGATE_STORE: server.url.replace(/\/\/[^/]*@/, `//${userinfo}`) };
    for (const args of [
      ["sessions"],
      ["users", "--json"],
      ["sessions", "revoke", "--all"],
      ["check", "--online"],
    ]) {
      const { code, out, err } = await runegate(args, denied, place.directory);
      expect([args, code]).toEqual([args, 1]);
      expect(out + err).toContain(words);
      expect(out + err).not.toContain("wrong");
    }
  } finally {
    await server.stop();
  }
});

test("a store that cannot be read is an error that says so", async () => {
  const broken = { ...env, RUNEGATE_STORE: `sqlite:${join(place.directory, "text.db")}` };
  await Bun.write(
    join(place.directory, "text.db"),
    "not a database, but a text that is long enough".repeat(100),
  );
  const { code, err } = await runegate(["sessions"], broken, place.directory);
  expect(code).toBe(1);
  expect(err).toContain("database");
});
