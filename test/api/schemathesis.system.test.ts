import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serveOperator } from "../../src/control/serve.ts";
import { startProvider, type TestProvider } from "../bearer/support.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs, skipBecause } from "../support/needs.ts";

/**
 * Schemathesis makes requests of the API's own document, right and wrong ones, and holds the answers against it: no 500, none that
 * is not promised, nothing wrong that is taken, nothing right that is refused.
 */

// A package is fetched.
setDefaultTimeout(300_000);

const SCHEMATHESIS = "schemathesis==4.32.5";
const SECONDS_EACH = 15;

const folder = mkdtempSync(join(tmpdir(), "runegate-schemathesis-"));

/** @returns the program; undefined to skip. */
function install(): string | undefined {
  if (needs("python3") === undefined) return undefined;
  const venv = join(folder, "venv");
  for (const command of [
    ["python3", "-m", "venv", venv],
    [join(venv, "bin/pip"), "install", "--quiet", SCHEMATHESIS],
  ]) {
    if (Bun.spawnSync(command).exitCode === 0) continue;
    skipBecause(`${SCHEMATHESIS} cannot be installed`);
    return undefined;
  }
  return join(venv, "bin/schemathesis");
}

/**
 * What an address is no schema says: one that is none is 400 all the same. And the store takes so many nonces in a minute, then 503.
 * Everything else that fits is taken.
 */
const SETTINGS = `
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "429", "503"]
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "503"]
`;

const ROUTES = `[groups]
admins = ["root@example.org"]
[[routes]]
name = "lab"
target = "http://127.0.0.1:9"
api_keys = true
`;

const program = install();
afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(program === undefined)("whatever Schemathesis sends", () => {
  let provider: TestProvider;
  let gateway: TestGateway;

  beforeAll(async () => {
    provider = await startProvider();
    gateway = await startGateway({ env: { ...provider.env, RUNEGATE_API_KEYS: "true" }, routes: ROUTES });
  });
  afterAll(async () => {
    await gateway.stop();
    await provider.stop();
  });

  type Fuzzing = {
    /** Of the gateway, or of what stands before it and puts the proof in that it wants. */
    readonly url: string;
    /** Without it, that is done whatever was shown. */
    readonly bearer?: string;
  };

  /** @returns how it ends, and what it says. */
  async function fuzz({ url, bearer }: Fuzzing): Promise<[number, string]> {
    const headers: Record<string, string> = bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` };
    const document = await fetch(`${url}/_runegate/api/openapi.json`, { headers });
    writeFileSync(join(folder, "openapi.json"), await document.text());
    const auth = bearer === undefined ? "" : `[auth.openapi.bearer]\nbearer = "${bearer}"\n`;
    writeFileSync(join(folder, "schemathesis.toml"), SETTINGS + auth);
    const child = Bun.spawn(
      [
        ...[program ?? "", "--config-file", "schemathesis.toml", "run", "openapi.json"],
        ...["--url", `${url}/_runegate/api`, "--checks", "all", "--seed", "1"],
        ...["--max-time", String(SECONDS_EACH), "--warnings", "off", "--no-color"],
        ...(bearer === undefined ? ["--exclude-checks", "ignored_auth"] : []),
      ],
      { cwd: folder, stdout: "pipe", stderr: "pipe" },
    );
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return [code, out + err];
  }

  function expectNothingFound([code, said]: [number, string]): void {
    if (code !== 0) console.error(said);
    expect(code).toBe(0);
    const [, generated = "0"] = /(\d+) generated, \d+ passed/.exec(said) ?? [];
    expect(Number(generated)).toBeGreaterThan(500);
    expect(gateway.lines.filter((line) => line.includes("a request failed"))).toEqual([]);
  }

  test("as an administrator with a bearer, and without where it must be refused", async () => {
    const bearer = await provider.tokenOf("root");
    expectNothingFound(await fuzz({ url: gateway.url, bearer }));
  });

  test("as an administrator with a session, who signs in again after ending it", async () => {
    let cookie = await gateway.signIn("root@example.org");
    const server = Bun.serve({
      port: 0,
      async fetch(request) {
        const { pathname, search } = new URL(request.url);
        const body = await request.bytes();
        const send = () =>
          fetch(gateway.url + pathname + search, {
            method: request.method,
            headers: { ...request.headers.toJSON(), host: new URL(gateway.url).host, cookie },
            ...(body.length === 0 ? {} : { body }),
          });
        const answer = await send();
        if (answer.status !== 401) return answer;
        cookie = await gateway.signIn("root@example.org");
        return send();
      },
    });
    expectNothingFound(await fuzz({ url: server.url.origin }));
    await server.stop(true);
  });

  test("as the operator", async () => {
    const serve = serveOperator(gateway.gateway.answer);
    const server = Bun.serve({ port: 0, fetch: serve });
    expectNothingFound(await fuzz({ url: server.url.origin }));
    await server.stop(true);
  });
});
