import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfiguration } from "../../src/config/configuration.ts";
import { connectControl } from "../../src/control/client.ts";
import { MailError } from "../../src/mail/mailer.ts";
import { ConfigError } from "../../src/option/finding.ts";
import { askFor } from "../login/support.ts";
import { startPair, until, within } from "../proxy/support.ts";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { dial, exchange, requestHead } from "../support/raw.ts";
import { testMachine } from "../support/surroundings.ts";

setDefaultTimeout(30_000);

/** What reviews of the finished code found, a row each, so that none of it comes back. */

describe("a peer that resets its connection", () => {
  test("is not believed about who it is", async () => {
    const pair = await startPair({ env: { RUNEGATE_TRUSTED_PROXIES: "" } });
    for (let count = 0; count < 100; count++) {
      const wire = await dial(pair.port);
      void wire.write(
        requestHead(`POST /forged${count}`, [
          pair.cookie,
          "X-Forwarded-For: 6.6.6.6",
          "X-Forwarded-Host: evil.example",
          "Content-Length: 0",
        ]),
      );
      wire.reset();
    }
    // Requests in order: when this one has been answered, all before have been looked at.
    expect((await pair.ask("GET /last")).status).toBe(200);
    for (const { text } of pair.upstream.requests) {
      expect(text).not.toContain("6.6.6.6");
      expect(text).not.toContain("evil.example");
    }
    await pair.stop();
  });
});

describe("a host of few letters", () => {
  test.each(["a", "pi", "nas", "a:80", "[::1]"])("%s has Runegate's own paths", async (host) => {
    const gateway = await startGateway();
    const own = ["/_runegate/login", "/_runegate/session", "/_runegate/health/ready", "/login", "/health"];
    for (const path of own) {
      expect((await exchange(gateway.port, `GET ${path}`, [`Host: ${host}`])).status).toBe(200);
    }
    expect((await exchange(gateway.port, "GET /_runegate/nothing", [`Host: ${host}`])).status).toBe(404);
    await gateway.stop();
  });
});

describe("a token in a path", () => {
  test.each(["/auth%3Ftoken=", "/auth;token=", "/_runegate/auth%3ftoken=", "/_runegate/auth/", "/x/"])(
    "%s… does not reach the log",
    async (path) => {
      const gateway = await startGateway();
      const link = gateway.gateway.login.mintLink("ada@example.org" as never, "/");
      const token = new URL(link).searchParams.get("token") ?? "";
      await fetch(gateway.url + path + token, { redirect: "manual" });
      expect(gateway.lines.some((line) => line.includes("***"))).toBe(true);
      for (const part of token.split(".")) expect(gateway.lines.join("\n")).not.toContain(part);
      await gateway.stop();
    },
  );
});

describe("the development mailbox", () => {
  test("is shown to this machine alone, under a name of this machine", async () => {
    const gateway = await startGateway();
    const ask = (fields: string[]) => exchange(gateway.port, "GET /_runegate/mailbox", fields);
    for (const host of ["localhost", "127.0.0.1:7870", "[::1]"]) {
      expect((await ask([`Host: ${host}`])).status).toBe(200);
    }
    expect((await ask(["Host: localhost", "X-Forwarded-For: 203.0.113.9"])).status).toBe(404);
    // DNS rebinding: a page of this name, in a browser here, would be of the same origin.
    expect((await ask(["Host: evil.example:7870"])).status).toBe(404);
    expect((await ask(["Host: localhost", "X-Forwarded-Host: evil.example"])).status).toBe(404);
    await gateway.stop();
  });

  test.each([
    ["Forwarded: for=203.0.113.9"],
    ["Via: 1.1 edge"],
    ["X-Real-IP: 203.0.113.9"],
    ["X-Real-IP: 127.0.0.1"],
    ["X-Forwarded-For: unknown"],
    ["X-Forwarded-For: for=203.0.113.9"],
    ["X-Forwarded-For: 203.0.113.9, garbage"],
    ["X-Forwarded-For: garbage, 127.0.0.1"],
    ["X-Forwarded-For:"],
  ])("is hidden where %s tells of a proxy whose client may be anybody", async (field) => {
    for (const trusted of ["127.0.0.0/8", ""]) {
      const gateway = await startGateway({ env: { RUNEGATE_TRUSTED_PROXIES: trusted } });
      const ask = (fields: string[]) => exchange(gateway.port, "GET /_runegate/mailbox", fields);
      expect((await ask(["Host: localhost"])).status).toBe(200);
      expect((await ask(["Host: localhost", field])).status).toBe(404);
      await gateway.stop();
    }
  });

  test("is hidden where a proxy is not trusted, and shown to a browser here that a trusted one names", async () => {
    for (const [trusted, status] of [
      ["", 404],
      ["127.0.0.0/8", 200],
    ] as const) {
      const gateway = await startGateway({ env: { RUNEGATE_TRUSTED_PROXIES: trusted } });
      const fields = ["Host: localhost", "X-Forwarded-For: 127.0.0.1"];
      expect((await exchange(gateway.port, "GET /_runegate/mailbox", fields)).status).toBe(status);
      await gateway.stop();
    }
  });

  test("is no way to run a public site: that is a configuration error", () => {
    using machine = testMachine();
    const load = (env: Record<string, string>) => () => loadConfiguration({ env }, machine);
    expect(load({ RUNEGATE_BASE_URL: "https://app.example.org", RUNEGATE_SECURE_COOKIE: "true" })).toThrow(
      ConfigError,
    );
    expect(load({ RUNEGATE_BASE_URL: "http://localhost:7870" })).not.toThrow();
  });
});

describe("a flood of WebSocket pings at an application that does not read", () => {
  test("ends the connection instead of growing memory", async () => {
    const pair = await startPair();
    pair.upstream.on("/deaf", async ({ request, wire }) => {
      const key = request.one("sec-websocket-key") ?? "";
      const accept = new Bun.CryptoHasher("sha1")
        .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest("base64");
      await wire.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      wire.stall();
      await new Promise(() => {});
    });
    const socket = new WebSocket(`${pair.gateway.url.replace("http", "ws")}/deaf`, {
      headers: { Cookie: pair.cookie.replace("Cookie: ", "") },
    });
    const closed = Promise.withResolvers<number>();
    socket.onclose = ({ code }) => closed.resolve(code);
    await new Promise((resolve) => {
      socket.onopen = resolve;
    });
    const payload = Buffer.alloc(125, "x");
    let sent = 0;
    // Four times what may wait, and a bound on the time it may take to notice.
    while (socket.readyState === WebSocket.OPEN && sent < 120 * 2 ** 20) {
      for (let count = 0; count < 2_000; count++) socket.ping(payload);
      sent += 2_000 * payload.byteLength;
      await Bun.sleep(0);
    }
    expect(await within(10_000, closed.promise)).toBe(1013);
    await pair.stop();
  });
});

describe("a connection that has carried a request to the application", () => {
  const SHAPES: ReadonlyArray<readonly [name: string, fields: string, body: string]> = [
    ["a small answer", "Content-Length: 2", "ok"],
    ["a streamed answer", "Transfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"],
    ["an empty answer", "Content-Length: 0", ""],
  ];
  test.concurrent.each([...SHAPES])("still ends when idle, after %s", async (_, fields, body) => {
    const pair = await startPair({ idleSeconds: 4 });
    pair.upstream.on("/once", ({ wire }) =>
      wire.write(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n${fields}\r\n\r\n${body}`),
    );
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /once", [pair.cookie]));
    await wire.readUntil("200 OK");
    await within(20_000, wire.readToEnd());
    await pair.stop();
  });
});

describe("a stream by another name than text/event-stream", () => {
  test.each([
    ["of no announced length", "Content-Type: application/x-ndjson", "Transfer-Encoding: chunked"],
    ["of events, with a length", "Content-Type: text/event-stream", "Content-Length: 60000"],
  ])("%s ends with the session", async (_, type, framing) => {
    const pair = await startPair();
    pair.upstream.on("/stream", async ({ wire }) => {
      await wire.write(`HTTP/1.1 200 OK\r\n${type}\r\n${framing}\r\n\r\n`);
      await wire.write(framing.startsWith("Transfer") ? "3\r\n{}\n\r\n" : "data: 1\n\n");
      await wire.ended;
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /stream", [pair.cookie]));
    await wire.readUntil("200 OK");
    await until(() => pair.gateway.gateway.live.size === 1);
    await pair.ask("POST /_runegate/logout", ["Content-Length: 0"]);
    const rest = await within(5_000, wire.readToEnd());
    expect(rest.toString("latin1")).not.toEndWith("0\r\n\r\n");
    await pair.stop();
  });
});

describe("the control socket's caller", () => {
  test("believes no socket in a directory that others may write to", async () => {
    const open = join(mkdtempSync(join(tmpdir(), "runegate-open-")), "run");
    mkdirSync(open);
    chmodSync(open, 0o777);
    const liar = Bun.serve({
      unix: join(open, "control.sock"),
      fetch: () => Response.json({ link: "https://evil.example/" }),
    });
    expect(connectControl(join(open, "control.sock")).link("ada@example.org")).rejects.toThrow(
      "others may write",
    );
    await liar.stop(true);
  });
});

describe("a POST to the logout", () => {
  test.each([
    ["of another type", "Content-Type: text/plain", "hello", 415],
    ["of too much", "Content-Type: application/json", " ".repeat(70_000), 413],
    ["without a body", "Accept: */*", "", 200],
  ])("%s", async (_, field, body, status) => {
    const gateway = await startGateway();
    const fields = [field, `Content-Length: ${body.length}`];
    expect((await exchange(gateway.port, "POST /_runegate/logout", fields, body)).status).toBe(status);
    await gateway.stop();
  });
});

describe("a foreign page full of links", () => {
  test.each([
    ["as images", "no-cors", "image"],
    ["in frames", "navigate", "iframe"],
    ["in frames of a frameset", "navigate", "frame"],
    ["as objects", "navigate", "object"],
    ["embedded", "navigate", "embed"],
    ["as something new", "navigate", "fencedframe"],
    ["by script", "cors", "empty"],
  ])("%s does not use up its visitor's attempts, and signs nobody in", async (_, mode, destination) => {
    const gateway = await startGateway({ env: { RUNEGATE_RATE_LIMIT_ENABLED: "true" } });
    const { token, cookie } = await askFor(gateway);
    const open = (value: string, fields: readonly string[]) =>
      exchange(gateway.port, `GET /auth?token=${value}`, [`Cookie: ${cookie}`, ...fields]);
    const foreign = [
      `Sec-Fetch-Mode: ${mode}`,
      `Sec-Fetch-Dest: ${destination}`,
      "Sec-Fetch-Site: cross-site",
    ];
    for (let count = 0; count < 20; count++) expect((await open("x", foreign)).status).toBe(401);
    expect((await open(token, foreign)).status).toBe(200);
    // A click on the link in a webmail is also cross-site.
    const click = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"];
    expect((await open(token, click)).status).toBe(302);
    await gateway.stop();
  });
});

describe("a small body that comes slowly", () => {
  test("is passed on as it comes, and has no time limit", async () => {
    const pair = await startPair({ env: { RUNEGATE_RESPONSE_TIMEOUT: "1s" } });
    const rest = Promise.withResolvers<void>();
    pair.upstream.on("/slowly", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhe");
      await rest.promise;
      await wire.write("llo");
    });
    pair.upstream.on("/never", async ({ wire }) => void (await wire.ended));
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /slowly", [pair.cookie]));
    await within(2_000, wire.readUntil("he\r\n"));
    // Asked later, so when its time is over, the other's would be too.
    expect((await pair.ask("GET /never")).status).toBe(504);
    rest.resolve();
    await within(2_000, wire.readUntil("llo\r\n0\r\n\r\n"));
    await pair.stop();
  });
});

describe("a reader who leaves a stream", () => {
  test("is one line in the request log", async () => {
    const pair = await startPair();
    pair.upstream.on("/endless", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
      await wire.write("5\r\nhello\r\n");
      await wire.ended;
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /endless", [pair.cookie]));
    await wire.readUntil("hello");
    wire.reset();
    const lines = () => pair.gateway.lines.filter((line) => line.includes("GET /endless"));
    await until(() => lines().length > 0);
    await pair.ask("GET /after");
    expect(lines()).toHaveLength(1);
    await pair.stop();
  });
});

describe("headers that gateway interfaces fold into others", () => {
  test.each(["Proxy: http://evil.example", "Content_Length: 9", "Content.Length: 9"])("%s", async (field) => {
    const pair = await startPair();
    await pair.ask("GET /folded", [field]);
    const [seen] = pair.upstream.to("/folded");
    expect(seen?.all(field.split(":", 1)[0] ?? "")).toEqual([]);
    await pair.stop();
  });
});

describe("when the process stops", () => {
  test("a download comes to its end, and an event stream is closed", async () => {
    const pair = await startPair();
    const rest = Promise.withResolvers<void>();
    pair.upstream.on("/download", async ({ wire }) => {
      await wire.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      );
      await rest.promise;
      await wire.write("5\r\nworld\r\n0\r\n\r\n");
    });
    pair.upstream.on("/events", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      await wire.ended;
    });
    const download = await dial(pair.port);
    await download.write(requestHead("GET /download", [pair.cookie]));
    await download.readUntil("hello");
    const events = await dial(pair.port);
    await events.write(requestHead("GET /events", [pair.cookie]));
    await events.readUntil("data: 1");
    pair.gateway.gateway.live.closeAll("shutdown");
    await within(2_000, events.readToEnd());
    rest.resolve();
    await within(2_000, download.readUntil("world\r\n0\r\n\r\n"));
    expect(pair.gateway.lines.some((line) => line.includes("broke off"))).toBe(false);
    await pair.stop();
  });
});

describe("the request line", () => {
  test("has the bytes of Runegate's own answers, and of its errors", async () => {
    const pair = await startPair();
    await pair.ask("GET /_runegate/health");
    await exchange(pair.port, "GET /app");
    pair.upstream.on("/reset", ({ wire }) => wire.reset());
    await pair.ask("POST /reset", ["Content-Length: 0"]);
    for (const path of ["/_runegate/health 200", "/app 401", "/reset 502"]) {
      expect(pair.gateway.lines.find((line) => line.includes(path))).toMatch(/bytes=[1-9]/);
    }
    await pair.stop();
  });

  test("is one for an event stream that its reader leaves", async () => {
    const pair = await startPair();
    pair.upstream.on("/events", async ({ wire }) => {
      await wire.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
      await wire.ended;
    });
    const wire = await dial(pair.port);
    await wire.write(requestHead("GET /events", [pair.cookie]));
    await wire.readUntil("data: 1");
    wire.reset();
    const lines = () => pair.gateway.lines.filter((line) => line.includes("GET /events"));
    await until(() => lines().length > 0);
    await pair.ask("GET /after");
    expect(lines()).toHaveLength(1);
    await pair.stop();
  });
});

describe("a link that was used, opened in another browser", () => {
  test("is refused at once, and not only by the button of a page", async () => {
    const gateway = await startGateway();
    const link = gateway.gateway.login.mintLink("ada@example.org" as never, "/");
    const token = new URL(link).searchParams.get("token") ?? "";
    expect((await fetch(`${gateway.url}/auth?token=${token}`)).status).toBe(200);
    const body = JSON.stringify({ token });
    const headers = { "Content-Type": "application/json" };
    expect((await fetch(`${gateway.url}/auth`, { method: "POST", headers, body })).status).toBe(200);
    expect((await fetch(`${gateway.url}/auth?token=${token}`)).status).toBe(401);
    expect((await fetch(`${gateway.url}/auth?token=${token}`, { method: "HEAD" })).status).toBe(401);
    await gateway.stop();
  });
});

describe("a mail that is given up late", () => {
  test("does not give back the cooldown of a later request, which would tell an allowed address from others", async () => {
    const clock = testClock();
    const gateway = await startGateway({
      clock,
      env: {
        RUNEGATE_RATE_LIMIT_ENABLED: "true",
        RUNEGATE_LOGIN_RATE_LIMIT: "0",
        RUNEGATE_ALLOW_ANY_EMAIL: "false",
        RUNEGATE_EMAIL_COOLDOWN: "240",
        RUNEGATE_ALLOWED_EMAILS: "allowed@example.org",
      },
      mailer: {
        async send() {
          throw new MailError({
            reason: "nobody answers",
            remedy: "",
            permanent: false,
            misconfigured: false,
          });
        },
      },
    });
    const statuses = async (name: string) => {
      const response = await fetch(`${gateway.url}/login`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ email: `${name}@example.org` }),
      });
      return response.status;
    };
    const answers: Record<string, number[]> = { allowed: [], other: [] };
    for (let minute = 0; minute < 20; minute++) {
      for (const [name, seen] of Object.entries(answers)) seen.push(await statuses(name));
      clock.advance(60_000);
      await gateway.gateway.outbox.runDue();
    }
    expect(gateway.lines.join("\n")).toContain("mail given up");
    expect(answers.allowed).toEqual(answers.other);
    await gateway.stop();
  });
});
