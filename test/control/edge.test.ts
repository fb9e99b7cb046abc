import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import type { Finding } from "../../src/doctor/finding.ts";
import { makeCertificate } from "../support/certificate.ts";
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

/** `runegate check --edge` as an operator calls it. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(30_000);

let place: Place;
let env: Environment;
const look = (url: string, more: Environment = {}, ...args: string[]) =>
  runegate(["check", "--edge", url, ...args], { ...env, ...more }, place.directory);
type Result = { ok: boolean; instance: boolean; findings: Finding[] };

beforeAll(async () => {
  place = temporaryPlace();
  env = environment(place, await freePort());
});
afterAll(() => place[Symbol.dispose]());

describe("with workers that share the supervisor's memory", () => {
  let gateway: Running;
  beforeAll(async () => {
    const command = [join(REPOSITORY, "src/main.ts"), "serve"];
    gateway = await run(command, { ...env, RUNEGATE_WORKERS: "2" }, place.directory);
  });
  afterAll(async () => void (await gateway.stop()));

  test("what arrives at any of them is seen, and all is well", async () => {
    const { code, out, err } = await look(`${gateway.url}/x`);
    expect([code, err]).toEqual([0, ""]);
    const lines = out.split("\n");
    expect(lines).toHaveLength(18);
    expect(lines[0]).toBe(`page: ok, 302, to ${gateway.url}/_runegate/login.`);
    expect(lines).toContain("X-Original-URL: ok, comes through, and is not read.");
    expect(lines.at(-1)).toBe("Nothing wrong was found. 2 of 17 could not be told.");
  });

  test("a place where nobody asks is found, exit 1, also as JSON", async () => {
    using open = Bun.serve({ port: 0, fetch: () => new Response("hello") });
    const url = `http://127.0.0.1:${open.port}/`;
    const { code, out } = await look(url);
    expect([code, out.split("\n")[0]]).toEqual([
      1,
      expect.stringMatching(
        /^page: WRONG, 200, and Runegate was not asked\. Have the edge ask .*auth_request/,
      ),
    ]);
    const json = JSON.parse((await look(url, {}, "--json")).out) as Result;
    expect(json).toMatchObject({ ok: false, instance: true });
    expect(json.findings[0]).toMatchObject({ name: "page", state: "wrong" });
  });

  test("a certificate is looked at", async () => {
    const { key, cert } = makeCertificate();
    using secure = Bun.serve({
      port: 0,
      tls: { key, cert },
      fetch: () => new Response(null, { status: 404 }),
    });
    const url = `https://localhost:${secure.port}/`;
    expect((await look(url)).out).toMatch(/^page: WRONG, no answer: .*self.signed/);
    const file = join(place.directory, "ca.pem");
    await Bun.write(file, cert);
    expect((await look(url, { NODE_EXTRA_CA_CERTS: file })).out).toStartWith(
      "page: WRONG, 404, and nothing of it",
    );
  });
});

test("with workers that share a database, and no control socket", async () => {
  const kept = {
    RUNEGATE_STORE: `sqlite:${join(place.directory, "state.db")}`,
    RUNEGATE_SESSION_KEY: "5e".repeat(64),
    RUNEGATE_CONTROL_SOCKET: "off",
  };
  const command = [join(REPOSITORY, "src/main.ts"), "serve"];
  const gateway = await run(command, { ...env, ...kept, RUNEGATE_WORKERS: "2" }, place.directory);
  const { code, out, err } = await look(`${gateway.url}/x`, kept);
  await gateway.stop();
  expect([code, err, out.split("\n").at(-1)]).toEqual([
    0,
    "",
    "Nothing wrong was found. 2 of 17 could not be told.",
  ]);
});

test("without an instance it says so, and what is seen from outside", async () => {
  using edge = Bun.serve({
    port: 0,
    fetch(request) {
      if (request.headers.get("sec-fetch-mode") !== "navigate") return new Response(null, { status: 401 });
      const status = request.method === "GET" ? 302 : 303;
      return new Response(null, { status, headers: { Location: "/_runegate/login?next=%2F" } });
    },
  });
  const url = `http://127.0.0.1:${edge.port}/`;
  const { code, out, err } = await look(url);
  expect(code).toBe(0);
  expect(err).toContain("No running instance answers");
  expect(err).toContain("from outside");
  expect(out).toContain("websocket: ok, 401.");
  expect(out).toContain("X-Forwarded-For: not known,");
  const broken = await look(url, { RUNEGATE_LISTEN: "x" });
  expect([broken.code, broken.err]).toEqual([
    0,
    expect.stringContaining("no configuration here that is good"),
  ]);
  expect(JSON.parse((await look(url, {}, "--json")).out) as Result).toMatchObject({
    ok: true,
    instance: false,
  });
});

test.each([
  ["no address", ["check", "--edge", "app.example.org"]],
  ["another scheme", ["check", "--edge", "ftp://app.example.org"]],
  ["a password", ["check", "--edge", "https://a:b@app.example.org"]],
  ["nothing", ["check", "--edge"]],
  ["--online as well", ["check", "--edge", "https://app.example.org", "--online"]],
])("%s is a mistake in usage", async (_, args) => {
  expect((await runegate(args, env, place.directory)).code).toBe(64);
});
