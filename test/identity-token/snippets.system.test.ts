import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHmac, createPublicKey } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { testClock } from "../support/clock.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { startUpstream, type Upstream } from "../support/upstream.ts";

/** The guide's applications as they stand there, in Python, Node and Go, against the keys of a gateway. */

// Packages are fetched, and Go compiles.
setDefaultTimeout(600_000);

const ROOT = join(import.meta.dir, "../..");
const GUIDE = readFileSync(join(ROOT, "deploy/README.md"), "utf8");
const KEY = "5".repeat(128);
const PYJWT = "PyJWT[crypto]==2.15.1";
const GO_OIDC = "github.com/coreos/go-oidc/v3@v3.21.0";

let upstream: Upstream;
let gateway: TestGateway;
const folder = mkdtempSync(join(tmpdir(), "runegate-snippets-"));
/** By what is wrong with them. */
const tokens: Record<string, string> = {};

/** The token that an application of this gateway gets. */
async function tokenOf(from: TestGateway): Promise<string> {
  const headers = { Cookie: await from.signIn() };
  await fetch(`${from.url}/token`, { headers });
  return upstream.to("/token").at(-1)?.one("x-runegate-jwt") ?? "";
}

async function tokenBy(env: Record<string, string>, age = 0): Promise<string> {
  const base = { RUNEGATE_BASE_URL: gateway.url, RUNEGATE_IDENTITY_MODE: "jwt", RUNEGATE_SESSION_KEY: KEY };
  const clock = testClock(Date.now() - age);
  const other = await startGateway({ target: upstream.url, clock, env: { ...base, ...env } });
  const token = await tokenOf(other);
  await other.stop();
  return token;
}

beforeAll(async () => {
  upstream = await startUpstream();
  gateway = await startGateway({
    target: upstream.url,
    env: { RUNEGATE_IDENTITY_MODE: "jwt", RUNEGATE_SESSION_KEY: KEY },
  });
  const good = await tokenOf(gateway);
  const [head = "", , signature = ""] = good.split(".");
  const encode = (json: object) => Buffer.from(JSON.stringify(json)).toString("base64url");
  const claims = encode(decodeJwt(good));
  const { keys } = (await (await fetch(`${gateway.url}/_runegate/jwks.json`)).json()) as { keys: object[] };
  const pem = createPublicKey({ key: keys[0] as never, format: "jwk" }).export({
    type: "spki",
    format: "pem",
  });
  const confused = `${encode({ alg: "HS256", kid: decodeProtectedHeader(good).kid, typ: "JWT" })}.${claims}`;
  Object.assign(tokens, {
    good,
    "no token": "",
    tampered: `${head}.${encode({ ...decodeJwt(good), email: "root@example.org" })}.${signature}`,
    "alg = none": `${encode({ alg: "none", typ: "JWT" })}.${claims}.`,
    "HS256 with the public key": `${confused}.${createHmac("sha256", pem).update(confused).digest("base64url")}`,
    "of another route": await tokenBy({ RUNEGATE_DOWNSTREAM_JWT_AUD: "https://other.example.org" }),
    "of another issuer": await tokenBy({ RUNEGATE_DOWNSTREAM_JWT_ISS: "https://other.example.org" }),
    "of another key": await tokenBy({ RUNEGATE_SESSION_KEY: "6".repeat(128) }),
    expired: await tokenBy({}, 11 * 60_000),
  });
});

afterAll(async () => {
  await gateway.stop();
  upstream.stop();
  rmSync(folder, { recursive: true });
});

/** The block of the guide's section, with the gateway's address in place of the example's. */
function snippet(language: string): string {
  const [, section = ""] = GUIDE.split("### An identity that applications can verify");
  const block = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(section)?.[1] ?? "";
  expect(block.split("https://app.example.org").length).toBeGreaterThan(3);
  return block.replaceAll("https://app.example.org", gateway.url);
}

async function run(
  command: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${code}\n${err}${out}`);
  return out;
}

/** What the application says of each token: an address, or why it refuses. */
async function judge(command: readonly string[], cwd: string) {
  const lines = (await run([...command, ...Object.values(tokens)], cwd)).trim().split("\n");
  expect(lines).toHaveLength(Object.keys(tokens).length);
  return Object.fromEntries(Object.keys(tokens).map((name, i) => [name, lines[i] ?? ""]));
}

function expectRightVerdicts(verdicts: Record<string, string>): void {
  const { good, ...others } = verdicts;
  expect(good).toBe("ada@example.org");
  for (const [name, verdict] of Object.entries(others))
    expect([name, verdict]).toEqual([name, expect.stringMatching(/^refused/)]);
}

describe.skipIf(needs("python3") === undefined)("Python, PyJWT", () => {
  test("takes the token it is sent, and refuses all others (G3)", async () => {
    const venv = join(folder, "venv");
    await run(["python3", "-m", "venv", venv], folder);
    await run([join(venv, "bin/pip"), "install", "--quiet", PYJWT], folder);
    const main = `${snippet("python")}
import sys, types
for token in sys.argv[1:]:
    try:
        print(user(types.SimpleNamespace(headers={"X-Runegate-JWT": token})))
    except jwt.PyJWTError as error:
        print("refused:", type(error).__name__)
`;
    writeFileSync(join(folder, "application.py"), main);
    expectRightVerdicts(await judge([join(venv, "bin/python"), "application.py"], folder));
  });
});

describe.skipIf(needs("node") === undefined)("Node, jose", () => {
  test("takes the token it is sent, and refuses all others (G3)", async () => {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    const main = `${snippet("js")}
for (const token of process.argv.slice(2)) {
  const request = { headers: new Headers({ "X-Runegate-JWT": token }) };
  console.log(await user(request).catch((error) => "refused: " + error.code));
}
`;
    writeFileSync(join(folder, "application.mjs"), main);
    expectRightVerdicts(await judge(["node", "application.mjs"], folder));
  });
});

describe.skipIf(needs("go") === undefined)("Go, go-oidc", () => {
  test("takes the token it is sent, and refuses all others (G3)", async () => {
    const place = join(folder, "go");
    mkdirSync(place);
    const main = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
)

${snippet("go")}
func main() {
	for _, token := range os.Args[1:] {
		request, _ := http.NewRequest("GET", "/", nil)
		request.Header.Set("X-Runegate-JWT", token)
		email, err := user(request)
		if err != nil {
			fmt.Printf("refused: %q\\n", err)
		} else {
			fmt.Println(email)
		}
	}
}
`;
    writeFileSync(join(place, "main.go"), main);
    await run(["go", "mod", "init", "application.example"], place);
    await run(["go", "get", GO_OIDC], place);
    await run(["go", "build", "-o", "application", "."], place, { GOFLAGS: "-mod=mod" });
    expectRightVerdicts(await judge([join(place, "application")], place));
  });
});
