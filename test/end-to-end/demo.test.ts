import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cookieHeader } from "../support/gateway.ts";
import { freePort, type RunningProcess, runegate, startProcess } from "../support/process.ts";

setDefaultTimeout(30_000);

/** `runegate demo` as a newcomer meets it. With `RUNEGATE_EXECUTABLE` set, the same through the built executable. */

let folder: string;
let demo: RunningProcess;
let url: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "runegate-demo-"));
  // What lies in the folder it is started in is none of its business.
  writeFileSync(join(folder, ".env"), "RUNEGATE_LISTEN=127.0.0.1:1\nRUNEGATE_LOG=off\n");
  writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./missing.ts"]\n');
  const port = freePort();
  url = `http://localhost:${port}`;
  demo = startProcess(
    runegate("demo"),
    {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_TARGET_SERVICE: `http://127.0.0.1:${freePort()}`,
      RUNEGATE_CONTROL_SOCKET: join(folder, "run/control.sock"),
    },
    process.env.RUNEGATE_EXECUTABLE === undefined ? undefined : folder,
  );
  await demo.waitFor(/Open +http/);
});

afterAll(() => {
  demo.signal("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function signIn(email: string): Promise<string> {
  const asked = await fetch(`${url}/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, next: "/whoami?from=mail" }),
  });
  expect(asked.status).toBe(200);
  const mail = await demo.waitFor(new RegExp(`Mail for ${email}\\s+Link: (\\S+)\\s+Code: (\\S+)`));
  const opened = await fetch(mail[1] ?? "", { redirect: "manual", headers: { Cookie: cookieHeader(asked) } });
  expect(opened.status).toBe(302);
  expect(opened.headers.get("location")).toBe("/whoami?from=mail");
  return cookieHeader(opened);
}

describe("the demonstration", () => {
  test("says where to click, and the pages are there with their assets", async () => {
    expect(demo.output()).toContain(`${url}/_runegate/mailbox`);
    const page = await (await fetch(`${url}/_runegate/login`)).text();
    const assets = [...page.matchAll(/(?:href|src)="(\/_runegate\/static\/[^"]+)"/g)].map(([, path]) => path);
    expect(assets.length).toBeGreaterThan(2);
    for (const path of assets) expect((await fetch(url + path)).status).toBe(200);
  });

  test("signs in by the mailed link and shows the application who is there", async () => {
    const cookie = await signIn("ada@example.org");
    const whoami = await fetch(`${url}/whoami`, { headers: { Cookie: cookie } });
    expect(await whoami.json()).toMatchObject({ identity: { user: "ada@example.org" } });
    const mailbox = await (await fetch(`${url}/_runegate/mailbox`)).text();
    expect(mailbox).toContain("ada@example.org");
  });

  test("passes an event stream, a WebSocket and a page of the application", async () => {
    const cookie = await signIn("grace@example.org");
    const page = await fetch(`${url}/`, { headers: { Cookie: cookie } });
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(await page.text()).toContain("grace@example.org");

    const events = await fetch(`${url}/events`, { headers: { Cookie: cookie } });
    const first = await events.body?.getReader().read();
    expect(new TextDecoder().decode(first?.value)).toContain("data:");

    const echo = new WebSocket(`${url.replace("http", "ws")}/ws/echo`, { headers: { Cookie: cookie } });
    const heard = Promise.withResolvers<unknown>();
    echo.onmessage = ({ data }) => {
      if (String(data).includes("hello")) heard.resolve(data);
    };
    echo.onerror = () => heard.reject(new Error("no WebSocket"));
    echo.onopen = () => echo.send("hello");
    expect(String(await heard.promise)).toContain("hello");
    echo.terminate();
  });

  test("its sessions are listed and revoked from another terminal, which closes their streams", async () => {
    const cookie = await signIn("mary@example.org");
    const env = { RUNEGATE_CONTROL_SOCKET: join(folder, "run/control.sock") };
    const listed = startProcess(runegate("sessions", "list", "--json"), env);
    expect(await listed.exited).toBe(0);
    expect(listed.output()).toContain("mary@example.org");

    const events = await fetch(`${url}/events`, { headers: { Cookie: cookie } });
    const revoke = startProcess(runegate("sessions", "revoke", "mary@example.org"), env);
    expect(await revoke.exited).toBe(0);
    expect(revoke.output()).toContain("1 session ended.");
    expect(events.text()).rejects.toThrow();
    expect((await fetch(`${url}/whoami`, { headers: { Cookie: cookie } })).status).toBe(401);
  });

  test("a port in use is said in words, with exit code 1", async () => {
    const second = startProcess(runegate("serve"), {
      RUNEGATE_LISTEN: `127.0.0.1:${new URL(url).port}`,
      RUNEGATE_CONTROL_SOCKET: "off",
    });
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain("Is something else listening there?");
  });

  test("ends cleanly on SIGTERM", async () => {
    demo.signal("SIGTERM");
    expect(await demo.exited).toBe(0);
    expect(demo.output()).toContain("stopped");
  });
});
