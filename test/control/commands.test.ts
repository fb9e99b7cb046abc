import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "../../src/identity/address.ts";
import { LOGIN_REQUEST } from "../../src/login/ticket.ts";
import { createKeys } from "../../src/secret/keys.ts";
import { createTickets } from "../../src/secret/ticket.ts";
import { jwtSecret } from "../../src/secret/values.ts";
import { testClock } from "../support/clock.ts";
import {
  type Environment,
  environment,
  freePort,
  isSignedIn,
  JWT_SECRET,
  type Place,
  REPOSITORY,
  type Running,
  run,
  runegate,
  signInWith,
  temporaryPlace,
} from "./support.ts";

/** The command line against a running instance, as an operator uses it: two processes and a socket. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

let place: Place;
let env: Environment;
let gateway: Running;

beforeAll(async () => {
  place = temporaryPlace();
  env = environment(place, await freePort());
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
});
afterAll(async () => {
  expect(await gateway.stop()).toBe(0);
  expect(() => lstatSync(place.socket)).toThrow();
  place[Symbol.dispose]();
});

const cli = (...args: string[]) => runegate(args, env, place.directory);

async function printedLink(email: string): Promise<string> {
  const { code, out, err } = await cli("link", email);
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/_runegate\/auth\?token=[\w.-]+$/);
  return out;
}

test("a link signs in, the session is listed, and is gone when it is revoked", async () => {
  expect([
    lstatSync(place.socket).mode & 0o777,
    lstatSync(join(place.directory, "run")).mode & 0o777,
  ]).toEqual([0o600, 0o700]);
  expect(await cli("sessions")).toEqual({ code: 0, out: "Nobody is signed in.", err: "" });
  const [ada, bob] = [
    await signInWith(await printedLink("ada@example.org")),
    await signInWith(await printedLink("Bob@Example.org")),
  ];
  expect(JSON.parse((await cli("link", "--json", "ada@example.org")).out)).toEqual({
    link: expect.stringContaining("/auth?token="),
  });
  const listed = await cli("sessions", "list");
  expect(listed.out.split("\n")).toHaveLength(3);
  expect(listed.out).toMatch(
    /^ID +ADDRESS +SIGNED IN +LAST USE +UNTIL +FROM\n[\w-]{12} +ada@example\.org +20/,
  );
  const [first] = JSON.parse((await cli("sessions", "--json")).out) as Array<{ id: string; email: string }>;
  expect(first?.email).toBe("ada@example.org");
  // An id may begin with a hyphen, which `--` keeps from being an option.
  expect(await cli("sessions", "revoke", "--", first?.id ?? "")).toEqual({
    code: 0,
    out: "1 session ended.",
    err: "",
  });
  expect([await isSignedIn(gateway.url, ada), await isSignedIn(gateway.url, bob)]).toEqual([false, true]);
  expect(await cli("sessions", "revoke", "--json", "bob@example.org")).toEqual({
    code: 0,
    out: '{"revoked":1}',
    err: "",
  });
  expect(await isSignedIn(gateway.url, bob)).toBe(false);
  expect(await cli("sessions", "revoke", "bob@example.org")).toEqual({
    code: 1,
    out: "0 sessions ended.",
    err: "",
  });
  expect(await cli("sessions", "revoke", "--all")).toEqual({ code: 0, out: "0 sessions ended.", err: "" });
  await gateway.saw("session_revoked", 2);
});

describe("refused", () => {
  test.each<[what: string, args: string[], code: number, words: string]>([
    ["a link for an address that may not sign in", ["link", "eve@example.org"], 1, "may not sign in"],
    ["a link for what is no address", ["link", "Ada <ada@example.org>"], 64, "without a name"],
    ["a link for nobody", ["link"], 64, "one address"],
    ["links for two", ["link", "ada@example.org", "bob@example.org"], 64, "one address"],
    ["revoking nothing", ["sessions", "revoke"], 64, "--all"],
    ["revoking the empty id, which is the beginning of every one", ["sessions", "revoke", ""], 64, "--all"],
    ["revoking an id and all", ["sessions", "revoke", "--all", "x"], 64, "--all"],
    ["revoking an id that is none", ["sessions", "revoke", "zzzzzzzz"], 1, ""],
    ["another verb", ["sessions", "kill"], 64, 'no "sessions kill"'],
  ])("%s", async (_, args, code, words) => {
    const outcome = await cli(...args);
    expect(outcome.code).toBe(code);
    expect(outcome.err).toContain(words);
  });

  test("everything, in words, where no instance runs", async () => {
    for (const args of [["sessions"], ["link", "ada@example.org"]]) {
      const { code, err } = await runegate(
        args,
        { ...env, RUNEGATE_CONTROL_SOCKET: join(place.directory, "none.sock") },
        place.directory,
      );
      expect([code, err]).toEqual([1, expect.stringContaining("No running instance answers")]);
      const off = await runegate(args, { ...env, RUNEGATE_CONTROL_SOCKET: "off" }, place.directory);
      expect([off.code, off.err]).toEqual([1, expect.stringContaining("RUNEGATE_CONTROL_SOCKET is off")]);
    }
  });
});

describe("runegate token", () => {
  test("explains a link, and what is wrong with it", async () => {
    const link = await printedLink("ada@example.org");
    const token = new URL(link).searchParams.get("token") ?? "";
    const good = await cli("token", link);
    expect(good.code).toBe(0);
    for (const part of [
      '"alg": "HS256"',
      '"sub": "ada@example.org"',
      "expires: 20",
      "verdict: good, as a login link",
    ])
      expect(good.out).toContain(part);
    for (const [what, given, more, verdict] of [
      ["another secret", token, { RUNEGATE_JWT_SECRET: "x".repeat(64) }, "RUNEGATE_JWT_SECRET"],
      ["another base URL", token, { RUNEGATE_BASE_URL: "http://localhost:1" }, "RUNEGATE_BASE_URL"],
      ["a changed one", `${token.slice(0, -4)}AAAA`, {}, "or was changed"],
    ] as const) {
      const { code, out } = await runegate(["token", given], { ...env, ...more }, place.directory);
      expect([what, code, out.includes(verdict)]).toEqual([what, 1, true]);
    }
    expect(JSON.parse((await cli("token", "--json", link)).out)).toMatchObject({
      header: { alg: "HS256" },
      claims: { sub: "ada@example.org" },
      expires: expect.stringMatching(/^20/),
      accepted: true,
    });
    const changed = await cli("token", "--json", `${token.slice(0, -4)}AAAA`);
    expect([changed.code, JSON.parse(changed.out)]).toMatchObject([
      1,
      { accepted: false, problem: "wrong_signature" },
    ]);
    const none = await cli("token", "nonsense");
    expect([none.code, none.err]).toEqual([1, expect.stringContaining("not a token")]);
    // It was neither spent nor harmed.
    expect(await isSignedIn(gateway.url, await signInWith(link))).toBe(true);
  });

  test("explains a login cookie by what is wrong with it, not by its being no link", async () => {
    const clock = testClock();
    const bytes = jwtSecret(JWT_SECRET);
    const keys = createKeys({
      jwtSecret: bytes,
      jwtSecretPrevious: undefined,
      sessionKey: bytes,
      sessionKeyPrevious: undefined,
    });
    const tickets = createTickets(keys, { audience: gateway.url, clock });
    const cookie = (expiresAt: number) =>
      tickets.sign(LOGIN_REQUEST, {
        jti: "j",
        email: parseAddress("ada@example.org"),
        next: "/",
        issuedAt: clock.now(),
        expiresAt,
        secret: "s",
        codeHash: "h",
        sentAgain: 0,
      });
    const good = await cli("token", cookie(Date.now() + 3_600_000));
    expect([good.code, good.out]).toEqual([0, expect.stringContaining("good, as a login cookie")]);
    const expired = await cli("token", cookie(clock.now()));
    expect([expired.code, expired.out]).toEqual([1, expect.stringContaining("it has expired")]);
  });
});

test("a second instance with the same socket runs without one, and leaves it to the first", async () => {
  const second = await run(
    [join(REPOSITORY, "src/main.ts")],
    environment(place, await freePort()),
    place.directory,
  );
  expect(second.log()).toContain("the control socket cannot be opened");
  expect(await second.stop()).toBe(0);
  expect((await cli("sessions")).code).toBe(0);
});

test("status says how things are, in words and as data", async () => {
  const said = await cli("status");
  expect(said.code).toBe(0);
  expect(said.out).toMatch(/^store {2,}memory, ready$/m);
  expect(said.out).toMatch(/^mail {2,}0 waiting, 0 of them have failed$/m);
  const { code, out } = await cli("status", "--json");
  expect([code, JSON.parse(out)]).toMatchObject([0, { store: { kind: "memory", problem: null } }]);
});
