import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { signedHeaders } from "../../src/hooks/signature.ts";
import { until } from "../process/stage.ts";
import { startGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { type RunningProcess, startProcess } from "../support/process.ts";
import { SECRETS, SIGN_IN, written } from "./support.ts";

/** The examples of receivers in `deploy/hooks/`, run as they are. */

const ROOT = join(import.meta.dir, "../..");
const EXAMPLES: readonly [string, string | undefined][] = [
  ["receiver.py", needs("python3")],
  ["receiver.ts", process.execPath],
];
const BODY = JSON.stringify({
  type: "sign_in",
  timestamp: "2026-01-02T03:04:05Z",
  data: { email: "ada@example.org" },
});

let running: RunningProcess | undefined;
let folder = "";
afterEach(async () => {
  running?.signal("SIGKILL");
  await running?.exited;
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe.each(EXAMPLES)("%s", (name, interpreter) => {
  /** @returns its URL */
  async function start(secrets: readonly Buffer[], denied = ""): Promise<string> {
    folder = mkdtempSync(join(tmpdir(), "runegate-receiver-"));
    const secretFile = join(folder, "secret");
    writeFileSync(secretFile, secrets.map((one) => `${written(one)}\n`).join(""));
    const command = [interpreter ?? "", join(ROOT, "deploy/hooks", name), "127.0.0.1:0"];
    running = startProcess(command, { HOOK_SECRET_FILE: secretFile, HOOK_DENY: denied }, folder);
    const [, port] = await running.waitFor(/listening on 127\.0\.0\.1:(\d+)/, 20_000);
    return `http://127.0.0.1:${port}/`;
  }
  const happened = () => running?.output().match(/^\{.*\}$/gm) ?? [];
  const post = (url: string, headers: Readonly<Record<string, string>>, body: string | Uint8Array = BODY) =>
    fetch(url, { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body });
  const signed = (secrets: readonly Uint8Array[], at = Date.now(), id = "msg_1") =>
    signedHeaders(secrets, id, at, BODY);

  test.skipIf(interpreter === undefined)("takes what is signed with a secret of its file, once", async () => {
    const url = await start([SECRETS[1]]);
    for (const secrets of [[SECRETS[1]], SECRETS, [SECRETS[1]]]) {
      const response = await post(url, signed(secrets));
      expect([response.status, await response.json()]).toEqual([200, { decision: "allow" }]);
    }
    await until("it is printed", () => happened().length > 0);
    expect(happened().map((line) => JSON.parse(line))).toEqual([JSON.parse(BODY)]);
  });

  test.skipIf(interpreter === undefined)("I1 and nothing else", async () => {
    const url = await start([SECRETS[0]]);
    const right = signed([SECRETS[0]]);
    const bad: readonly [string, Readonly<Record<string, string>>, (string | Uint8Array)?][] = [
      ["another secret", signed([SECRETS[1]])],
      ["another body", right, BODY.replace("ada", "eve")],
      ["another id", { ...right, "webhook-id": "msg_2" }],
      ["six minutes old", signed([SECRETS[0]], Date.now() - 360_000)],
      ["of six minutes from now", signed([SECRETS[0]], Date.now() + 360_000)],
      [
        "another version",
        { ...right, "webhook-signature": right["webhook-signature"].replace("v1,", "v2,") },
      ],
      ["cut", { ...right, "webhook-signature": right["webhook-signature"].slice(0, -4) }],
      ["empty", { ...right, "webhook-signature": "" }],
      ["no number", { ...right, "webhook-timestamp": "nan" }],
      ["not ASCII", { ...right, "webhook-signature": "v1,\u00e4\u00f6" }],
      ["none", {}],
    ];
    for (const [what, headers, body] of bad)
      expect([what, (await post(url, headers, body)).status]).toEqual([what, 401]);
    expect((await post(url, right, new Uint8Array(30_000))).status).toBe(413);
    // What was refused has not used up the id.
    expect((await post(url, right)).status).toBe(200);
    await until("it is printed", () => happened().length > 0);
    expect(happened()).toHaveLength(1);
  });

  test.skipIf(interpreter === undefined)("is told by a gateway, and decides for one", async () => {
    const url = await start([SECRETS[0]], "eve@example.org");
    const secretFile = join(folder, "secret");
    const block = (hook: string, more: string) =>
      `[[hooks]]\nname = "${hook}"\nurl = "${url}"\nsecret_file = "${secretFile}"\n${more}\n`;
    const gateway = await startGateway({
      target: "http://127.0.0.1:1",
      routes: block("told", SIGN_IN) + block("asked", `${SIGN_IN}\nmode = "decide"`),
    });
    try {
      await gateway.signIn("ada@example.org");
      expect(gateway.signIn("eve@example.org")).rejects.toThrow("403");
      await gateway.gateway.hooks.runDue();
      // Asked, and then told: two calls.
      await until("it is printed", () => happened().length >= 2);
      const first = happened().map((line) => JSON.parse(line) as { type: string; data: { email: string } });
      expect(first.slice(0, 2).map(({ type, data }) => [type, data.email])).toEqual(
        Array(2).fill(["sign_in", "ada@example.org"]),
      );
    } finally {
      await gateway.stop();
    }
  });
});
