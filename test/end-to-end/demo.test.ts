import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LANGUAGES } from "../../src/pages/languages.ts";
import { said } from "../login/support.ts";
import { createAuthenticator } from "../passkeys/authenticator.ts";
import { register, signInBy } from "../passkeys/support.ts";
import { cookieHeader } from "../support/gateway.ts";
import { freePort, type RunningProcess, runegate, startProcess } from "../support/process.ts";

setDefaultTimeout(30_000);

/** `runegate demo` as a newcomer meets it. With `RUNEGATE_EXECUTABLE` set, the same through the built executable. */

let folder: string;
let demo: RunningProcess;
let url: string;
/** Of the first who signed in: a minute has room for five. */
let session: string;

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
      RUNEGATE_CONTROL_SOCKET: join(folder, "run/control.sock"),
      RUNEGATE_PASSKEYS: "true",
    },
    process.env.RUNEGATE_EXECUTABLE === undefined ? undefined : folder,
  );
  await demo.waitFor(/Open +http/);
});

afterAll(() => {
  demo.signal("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function ask(at: string, email: string, next = "/"): Promise<Response> {
  return fetch(`${at}/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, next }),
  });
}

async function signIn(email: string): Promise<string> {
  const asked = await ask(url, email, "/whoami?from=mail");
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

  test.each(LANGUAGES.map(({ tag, name, direction }) => [tag, name, direction]))(
    "speaks %s",
    async (tag, name, direction) => {
      const page = await fetch(`${url}/_runegate/login`, { headers: { "Accept-Language": tag } });
      const text = await page.text();
      expect(text).toContain(`<html lang="${tag}" dir="${direction}"`);
      expect(text).toContain(name);
    },
  );

  test("signs in by the mailed link and shows the application who is there", async () => {
    session = await signIn("ada@example.org");
    const whoami = await fetch(`${url}/whoami`, { headers: { Cookie: session } });
    expect(await whoami.json()).toMatchObject({ identity: { user: "ada@example.org" } });
    const mailbox = await (await fetch(`${url}/_runegate/mailbox`)).text();
    expect(mailbox).toContain("ada@example.org");
  });

  test("signs in by a passkey", async () => {
    const site = { url, origin: url };
    const authenticator = createAuthenticator();
    const added = await register(site, session, authenticator);
    expect(await said(added)).toEqual({ status: 201, message: "Added." });
    const answer = await signInBy(site, authenticator, {}, "/whoami");
    expect(await said(answer)).toEqual({ status: 200, message: "Signed in.", next: "/whoami" });
    const whoami = await fetch(`${url}/whoami`, { headers: { Cookie: cookieHeader(answer) } });
    expect(await whoami.json()).toMatchObject({ identity: { user: "ada@example.org" } });
  });

  test("answers by its management API", async () => {
    const answer = await fetch(`${url}/_runegate/api/session`, { headers: { Cookie: session } });
    expect(await answer.json()).toMatchObject({ email: "ada@example.org" });
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

  test("ends cleanly at Ctrl-C, whatever a browser has open, and does not wait for what it keeps in stock", async () => {
    const cookie = await signIn("joan@example.org");
    const events = await fetch(`${url}/events`, { headers: { Cookie: cookie } });
    const ended = events.text().catch(() => "");
    // One on which nothing was asked for yet holds `Bun.serve` up; so do those that browsers keep in stock, after a while.
    const begun = connect(Number(new URL(url).port), "127.0.0.1");
    begun.on("error", () => {});
    await once(begun, "connect");
    begun.write("GET / HTTP/1.1\r\n");
    // Accepted before this one, and so by now.
    await fetch(`${url}/health`, { headers: { Connection: "close" } });
    const before = performance.now();
    demo.signal("SIGINT");
    expect(await demo.exited).toBe(0);
    // What is under way may take ten seconds.
    expect(performance.now() - before).toBeLessThan(8_000);
    expect(demo.output()).toContain("stopped");
    await ended;
    begun.destroy();
  });
});

describe("the demonstration in front of somebody's own application", () => {
  const application = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: ({ headers }) => new Response(`the user is ${headers.get("x-forwarded-email")}`),
  });
  afterAll(() => application.stop(true));
  const started: RunningProcess[] = [];
  afterAll(() => {
    for (const process of started) process.signal("SIGKILL");
  });

  /** Those that start side by side must not look for a free port together. */
  const listen = () => ({ RUNEGATE_LISTEN: `127.0.0.1:${freePort()}` });

  /** @returns the process, and its address once it has one. */
  async function start(args: readonly string[], env: Record<string, string> = {}, cwd?: string) {
    const options = { RUNEGATE_CONTROL_SOCKET: "off", ...env };
    const process = startProcess(runegate("demo", ...args), options, cwd);
    started.push(process);
    const [, at = ""] = await process.waitFor(/Open +(http\S+)/);
    return { process, at };
  }

  const port = `${application.port}`;
  // Mails take their time, by design.
  test.concurrent.each([
    ["a URL", `http://127.0.0.1:${port}`],
    ["a URL with a slash", `http://localhost:${port}/`],
    ["host and port", `127.0.0.1:${port}`],
    ["a colon and a port", `:${port}`],
    ["a port", port],
  ])("%s", async (_, target) => {
    const { process, at } = await start(["--target", target], listen());
    expect(process.output()).toMatch(
      new RegExp(`in front of http://(127\\.0\\.0\\.1|localhost):${port}/?\\.\n`),
    );
    expect(process.output()).not.toContain("cannot be reached");
    expect(process.output()).not.toContain("sample application");
    const asked = await ask(at, "own@example.org");
    const mail = await process.waitFor(/Link: (\S+)/);
    const opened = await fetch(mail[1] ?? "", {
      redirect: "manual",
      headers: { Cookie: cookieHeader(asked) },
    });
    const page = await fetch(at, { headers: { Cookie: cookieHeader(opened) } });
    expect(await page.text()).toBe("the user is own@example.org");
  });

  test.concurrent("one that is not there yet is said, and the gateway runs all the same", async () => {
    const { process, at } = await start(["--target", `${freePort()}`], listen());
    expect(process.output()).toMatch(
      /cannot be reached: nothing listens there\. Start it, and reload the page\./,
    );
    expect((await fetch(`${at}/_runegate/login`)).status).toBe(200);
  });

  test.concurrent.each([
    ["no application", "application", "--target is not an http or https URL"],
    ["a page of one", `http://127.0.0.1:${port}/lab?token=x`, "--target has a path"],
    ["a port that is none", "99999", "--target is not a valid URL"],
  ])("%s: says what to write instead", async (_, target, problem) => {
    const refused = startProcess(runegate("demo", "--target", target));
    expect(await refused.exited).toBe(64);
    expect(refused.output()).toContain(problem);
    expect(refused.output()).toContain("Write http://127.0.0.1:8501, :8501 or 8501.");
  });

  test.concurrent("a port that was chosen and is taken is named with a way out", async () => {
    const demo = startProcess(runegate("demo"), { RUNEGATE_LISTEN: `127.0.0.1:${port}` });
    expect(await demo.exited).toBe(1);
    expect(demo.output()).toContain(`Cannot listen on 127.0.0.1:${port}: EADDRINUSE.`);
    expect(demo.output()).toContain(
      "Leave RUNEGATE_LISTEN or --listen out, and the demo takes a port that is free.",
    );
  });

  test.concurrent("a newcomer with npm alone, and one who came by SSH, are told what they can type", async () => {
    const env = {
      ...listen(),
      npm_lifecycle_event: "demo",
      npm_config_user_agent: "npm/10.8.2 node/v20.20.2 linux x64",
      SSH_CONNECTION: "198.51.100.4 51234 203.0.113.5 2222",
      USER: "ada",
    };
    const { process, at } = await start([], env);
    const { port: own } = new URL(at);
    expect(process.output()).toContain("npm run demo -- --target http://127.0.0.1:8501");
    expect(process.output()).toContain(`ssh -p 2222 -L ${own}:127.0.0.1:${own} ada@203.0.113.5`);
  });

  test.concurrent("sends no mail, whatever the folder it is started in is configured for", async () => {
    const configured = mkdtempSync(join(tmpdir(), "runegate-demo-"));
    mkdirSync(join(configured, "config"));
    writeFileSync(join(configured, "config/email.toml"), "smtp_host = 'mail.example.net'");
    writeFileSync(join(configured, ".env"), "RUNEGATE_ENV=production");
    const { process, at } = await start(
      ["--target", port],
      { RUNEGATE_ENV_FILE: ".env", ...listen() },
      configured,
    );
    await ask(at, "kept@example.org");
    await process.waitFor(/Mail for kept@example\.org/);
    rmSync(configured, { recursive: true });
  });

  test("ports that are taken are passed over, which is said", async () => {
    // They may be taken by somebody else already, which is as good.
    const taken = [7860, 7870].flatMap((usual) => {
      try {
        return Bun.serve({
          hostname: "127.0.0.1",
          port: usual,
          fetch: () => new Response("another program"),
        });
      } catch {
        return [];
      }
    });
    const { process, at } = await start([]);
    const { port: moved } = new URL(at);
    expect(Number(moved)).toBeGreaterThan(7870);
    expect(process.output()).toContain(`Port 7870 is in use, so it is ${moved}.`);
    expect(process.output()).not.toContain("The application itself is at http://127.0.0.1:7860:");
    expect(await (await fetch(`${at}/_runegate/health`)).json()).toMatchObject({ service: "Runegate" });
    for (const server of taken) await server.stop(true);
  });
});
