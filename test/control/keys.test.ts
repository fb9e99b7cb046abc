import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { startUpstream, type Upstream } from "../support/upstream.ts";
import {
  type Environment,
  environment,
  freePort,
  type Place,
  REPOSITORY,
  type Running,
  run,
  runegate,
  temporaryPlace,
} from "./support.ts";

/** `runegate keys`, against a running instance and, where none runs, on its store. */

setDefaultTimeout(30_000);

let place: Place;
let upstream: Upstream;
let env: Environment;
let gateway: Running;

beforeAll(async () => {
  place = temporaryPlace();
  upstream = await startUpstream();
  env = environment(place, await freePort(), {
    RUNEGATE_TARGET_SERVICE: upstream.url,
    RUNEGATE_API_KEYS: "true",
    RUNEGATE_SESSION_KEY: "5e".repeat(64),
    RUNEGATE_STORE: `sqlite:${join(place.directory, "state.db")}`,
  });
  gateway = await run([join(REPOSITORY, "src/main.ts")], env, place.directory);
});
afterAll(async () => {
  await gateway.stop();
  upstream.stop();
  place[Symbol.dispose]();
});

const cli = (...args: string[]) => runegate(["keys", ...args], env, place.directory);
const ask = async (token: string, path = "/") =>
  (await fetch(gateway.url + path, { headers: { Authorization: `Bearer ${token}` } })).status;
const KEY = /^rg_[0-9a-z]{12}_[0-9A-Za-z]{38}$/;

test("makes, lists, rotates, disables and revokes keys", async () => {
  expect(await cli()).toEqual({ code: 0, out: "There are no API keys.", err: "" });
  const made = await cli(
    ...["create", "--owner", "Ada@Example.org", "--description", "ci", "--expires", "30d"],
    ...["--opens", "default", "--paths", "/api/*,/x", "--methods", "GET", "--rate", "100"],
  );
  expect(made).toEqual({ code: 0, out: expect.stringMatching(KEY) as string, err: "" });
  const id = made.out.slice(3, 15);
  expect([await ask(made.out, "/api/x"), await ask(made.out, "/y")]).toEqual([200, 403]);

  const { out } = await cli("list");
  expect(out.split("\n")).toHaveLength(2);
  expect(out).toMatch(
    new RegExp(`^ID +OWNER +STATUS .*\\n${id} +ada@example\\.org +active +default +20.+ ci$`),
  );
  expect(out).not.toContain(made.out.slice(16));
  const listed = JSON.parse((await cli("--json")).out) as Record<string, unknown>[];
  expect(listed).toMatchObject([{ id, paths: ["/api/*", "/x"], methods: ["GET"], rate: 100 }]);

  const rotated = await cli("rotate", id, "--overlap", "0s");
  expect(rotated.out).toMatch(KEY);
  expect([await ask(made.out, "/x"), await ask(rotated.out, "/x")]).toEqual([401, 200]);
  const disabled = await cli("disable", id);
  expect(disabled).toEqual({ code: 0, out: `The key ${id} of ada@example.org is disabled.`, err: "" });
  expect(await ask(rotated.out, "/x")).toBe(401);
  expect((await cli("revoke", id)).out).toBe(`The key ${id} of ada@example.org is revoked.`);
  expect(await cli("revoke", id)).toMatchObject({
    code: 1,
    err: expect.stringContaining("no key") as string,
  });
  const json = JSON.parse((await cli("create", "--json", "--owner", "bob@example.org")).out) as object;
  expect(json).toMatchObject({ sub: "bob@example.org", created_by: "service:operator" });
  expect((await cli("list", "--owner", "bob@example.org")).out).toContain("bob@example.org");
  expect((await cli("list", "--owner", "ada@example.org")).out).toBe("There are no API keys.");
  await gateway.saw("key_created", 2);
  expect(gateway.log()).not.toContain(made.out.slice(16));
});

describe("refused", () => {
  test.each<[what: string, args: string[], code: number, words: string]>([
    ["for nobody", ["create"], 64, "--owner"],
    ["for somebody else", ["create", "--owner", "eve@example.org"], 1, "nobody of that name"],
    ["for too long", ["create", "--owner", "ada@example.org", "--expires", "9999d"], 1, "longer"],
    [
      "for an application that is none",
      ["create", "--owner", "ada@example.org", "--opens", "x"],
      1,
      "routes: x",
    ],
    ["at no rate", ["create", "--owner", "ada@example.org", "--rate", "x"], 64, "--rate"],
    ["another verb", ["kill"], 64, 'no "keys kill"'],
    ["revoking nothing", ["revoke"], 64, "the id of a key"],
    ["what list does not take", ["list", "--rate", "1"], 64, "--rate"],
    ["an id that is none", ["rotate", "zzz"], 1, "no key zzz"],
  ])("%s", async (_, args, code, words) => {
    const outcome = await cli(...args);
    expect([outcome.code, outcome.err]).toEqual([code, expect.stringContaining(words) as string]);
  });

  test("where keys are off", async () => {
    const off = { ...env, RUNEGATE_API_KEYS: "false", RUNEGATE_CONTROL_SOCKET: "off" };
    const { code, err } = await runegate(["keys"], off, place.directory);
    expect([code, err]).toEqual([1, expect.stringContaining("RUNEGATE_API_KEYS=true") as string]);
  });
});

test("without an instance they are made in its store, and are good once it runs", async () => {
  const onStore = { ...env, RUNEGATE_CONTROL_SOCKET: join(place.directory, "none.sock") };
  const { code, out } = await runegate(
    ["keys", "create", "--owner", "ada@example.org", "--description", "made apart"],
    onStore,
    place.directory,
  );
  // What is audited goes to the terminal.
  expect([code, await ask(out.split("\n").at(-1) ?? "")]).toEqual([0, 200]);
  expect(out).toMatch(KEY);
  expect((await cli()).out).toContain("made apart");
});
