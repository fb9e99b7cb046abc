import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Address } from "../../src/identity/address.ts";
import { sessionAuthenticator } from "../../src/session/authenticator.ts";
import { testClock } from "../support/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { dial, exchange, framingOf, readResponse, requestHead, type Wire } from "../support/raw.ts";
import { SILENT } from "../support/silent.ts";
import { chunk, responseHead, type Script } from "../support/upstream.ts";
import { type Pair, startPair, until, within } from "./support.ts";
import { HANDSHAKE } from "./websocket.ts";

setDefaultTimeout(60_000);

/** Whatever is under way ends with the session that it was allowed by, within 5 s, for the visitor and the application. */

const AT_MOST_MS = 5_000;
/** Longer than a request may take until it is listed. */
const LISTED_MS = 60;

const clock = testClock();
let pair: Pair;
let collecting: Pair;

beforeAll(async () => {
  const env = { RUNEGATE_LANDING_PATH: "/start" };
  pair = await startPair({ clock, env });
  collecting = await startPair({ clock, env: { ...env, RUNEGATE_STREAM_RESPONSES: "false" } });
});

afterAll(async () => {
  await pair.stop();
  await collecting.stop();
});

type UnderWay = { readonly visitor: Wire; readonly application: Wire; readonly cookie: string };

let visitors = 0;

/** A request of a session of its own, once the application has it and the gateway has listed it. */
async function begin(at: Pair, sent: string, script: Script): Promise<UnderWay> {
  const cookie = await at.gateway.signIn(`visitor-${++visitors}@example.org`);
  const { live } = at.gateway.gateway;
  const before = live.size;
  const { promise, resolve } = Promise.withResolvers<Wire>();
  at.upstream.on("/work", async (work) => {
    await script(work);
    resolve(work.wire);
    await work.wire.ended;
  });
  const visitor = await dial(at.port);
  await visitor.write(sent.replace("\r\n\r\n", `\r\nCookie: ${cookie}\r\n\r\n`));
  const application = await within(AT_MOST_MS, promise);
  clock.advance(LISTED_MS);
  await until(() => live.size === before + 1);
  return { visitor, application, cookie };
}

const logOut = (at: Pair, cookie: string) =>
  exchange(at.port, "POST /_runegate/logout", [`Cookie: ${cookie}`, "Content-Length: 0"]);

const NAVIGATION = ["Sec-Fetch-Mode: navigate"];
/** Waits until a count has not changed for a while. */
async function standstill(count: () => number): Promise<void> {
  let last = count();
  let since = performance.now();
  await until(() => {
    if (count() !== last) {
      last = count();
      since = performance.now();
    }
    return performance.now() - since > 500;
  }, 20_000);
}

const silence: Script = () => {};
const partly =
  (...bytes: readonly (string | Uint8Array)[]): Script =>
  async ({ wire }) => {
    for (const piece of bytes) await wire.write(piece);
  };

describe("what waits for its answer when its session ends gets what anybody without a session gets", () => {
  const half = "Content-Length: 1000";
  const cases: ReadonlyArray<
    readonly [what: string, sent: string, status: number, location: string | undefined]
  > = [
    ["a program's request", requestHead("GET /work"), 401, undefined],
    ["a program's POST", `${requestHead("POST /work", ["Content-Length: 2"])}{}`, 401, undefined],
    ["a half-sent upload", `${requestHead("PUT /work", [half])}some`, 401, undefined],
    [
      "a half-sent upload in chunks",
      `${requestHead("POST /work", ["Transfer-Encoding: chunked"])}${chunk("some")}`,
      401,
      undefined,
    ],
    ["a page", requestHead("GET /work?a=b", NAVIGATION), 302, "/_runegate/login?next=%2Fwork%3Fa%3Db"],
    [
      "a form",
      `${requestHead("POST /work", [...NAVIGATION, "Content-Length: 2"])}{}`,
      303,
      "/_runegate/login?next=%2Fstart",
    ],
    ["a WebSocket that is being opened", requestHead("GET /work", HANDSHAKE), 401, undefined],
  ];
  test.each(cases)("%s", async (_, sent, status, location) => {
    const { visitor, application, cookie } = await begin(pair, sent, silence);
    expect((await logOut(pair, cookie)).status).toBe(200);
    const answer = await within(AT_MOST_MS, readResponse(visitor));
    expect([answer.status, answer.one("location"), answer.complete]).toEqual([status, location, true]);
    if (status === 401) {
      expect(JSON.parse(answer.body.toString())).toMatchObject({ error: "unauthenticated" });
    }
    await within(AT_MOST_MS, application.ended);
    expect(pair.gateway.gateway.live.size).toBe(0);
    // The application has done nothing wrong.
    expect(pair.gateway.lines.filter((line) => line.includes("WARN") && line.includes("/work"))).toEqual([]);
    visitor.destroy();
  });

  test("a response that is collected before it is sent", async () => {
    const { visitor, application, cookie } = await begin(
      collecting,
      requestHead("GET /work"),
      partly(responseHead(200, ["Content-Type: text/plain"], 1_000_000), "some"),
    );
    await logOut(collecting, cookie);
    expect(await within(AT_MOST_MS, readResponse(visitor))).toMatchObject({ status: 401, complete: true });
    await within(AT_MOST_MS, application.ended);
    visitor.destroy();
  });
});

describe("a body that is on its way when its session ends breaks off, visibly", () => {
  const plain = ["Content-Type: text/plain"];
  const open = [...plain, "Transfer-Encoding: chunked"];
  const megabyte = Buffer.alloc(1_000_000, "x");
  const cases: ReadonlyArray<readonly [string, Script]> = [
    ["one without a length", partly(responseHead(200, open), chunk("some"))],
    ["one with a length", partly(responseHead(200, plain, 2_000_000), megabyte)],
    ["one without a type", partly(responseHead(200, [], 2_000_000), megabyte)],
    ["one of events", partly(responseHead(200, ["Content-Type: text/event-stream"], 1_000), "data: 1\n\n")],
    ["one that answers a half-sent upload", partly(responseHead(200, open), chunk("some"))],
  ];
  test.each(cases)("%s", async (what, script) => {
    const upload = what.includes("upload");
    const sent = upload
      ? `${requestHead("POST /work", ["Content-Length: 1000"])}some`
      : requestHead("GET /work");
    const { visitor, application, cookie } = await begin(pair, sent, script);
    await visitor.readUntil("\r\n\r\n");
    await logOut(pair, cookie);
    const rest = await within(AT_MOST_MS, visitor.readToEnd());
    expect(rest.toString("latin1")).not.toEndWith("0\r\n\r\n");
    await within(AT_MOST_MS, application.ended);
    expect(pair.gateway.gateway.live.size).toBe(0);
    expect(pair.gateway.lines.some((line) => line.includes("broke off"))).toBe(false);
  });

  test("one that is not read, of which only what the system has taken still comes", async () => {
    const { visitor, application, cookie } = await begin(pair, requestHead("GET /work"), ({ wire }) => {
      void wire.write(responseHead(200, plain, 300_000_000));
      void wire.write(Buffer.alloc(300_000_000));
    });
    await visitor.readUntil("\r\n\r\n");
    visitor.stall();
    const logged = () => pair.gateway.lines.filter((text) => text.includes("a stream was closed")).length;
    const before = logged();
    await standstill(() => application.unsent());
    expect(application.unsent()).toBeGreaterThan(0);
    await logOut(pair, cookie);
    await within(AT_MOST_MS, application.ended);
    await until(() => logged() === before + 1);
    visitor.resume();
    expect(await within(AT_MOST_MS, visitor.skip(300_000_000))).toBeLessThan(100_000_000);
    visitor.destroy();
  });
});

describe("a request that waits ends", () => {
  const ends: ReadonlyArray<readonly [how: string, end: (under: UnderWay) => Promise<unknown>]> = [
    ["when an operator revokes the session", ({ cookie }) => revoke(cookie)],
    [
      "when the session expires",
      () => {
        clock.advance(14 * 24 * 60 * 60_000);
        return pair.gateway.gateway.live.sweep();
      },
    ],
    ["when the address is no longer allowed", notAllowed],
    ["when the same browser signs in anew", ({ cookie }) => signInAgain(cookie)],
  ];
  test.each(ends)("%s", async (_, end) => {
    const under = await begin(pair, requestHead("GET /work"), silence);
    await end(under);
    expect((await within(AT_MOST_MS, readResponse(under.visitor))).status).toBe(401);
    await within(AT_MOST_MS, under.application.ended);
    under.visitor.destroy();
  });

  async function revoke(cookie: string): Promise<void> {
    const { sessions } = pair.gateway.gateway;
    const [found] = await sessions.findAll([cookie.replace("runegate_id=", "")], pair.gateway.url);
    await sessions.endAll((found?.record.email ?? "") as Address);
  }

  async function notAllowed(): Promise<void> {
    const env = { RUNEGATE_ALLOW_ANY_EMAIL: "false", RUNEGATE_ALLOWED_EMAILS: "else@example.org" };
    const reloaded = await startGateway({ clock, stores: pair.gateway.stores, env });
    const { live, sessions, sessionCookie } = pair.gateway.gateway;
    live.follow([sessionAuthenticator(reloaded.gateway.sessions, sessionCookie)], () => true, SILENT);
    await live.sweep();
    live.follow([sessionAuthenticator(sessions, sessionCookie)], () => true, SILENT);
    await reloaded.stop();
  }

  async function signInAgain(cookie: string): Promise<void> {
    const { gateway, mailbox, url } = pair.gateway;
    const email = "again@example.org";
    await exchange(
      pair.port,
      "POST /_runegate/login",
      ["Content-Type: application/json", `Content-Length: ${JSON.stringify({ email }).length}`],
      JSON.stringify({ email }),
    );
    await gateway.outbox.runDue();
    const token = new URL(mailbox.mails().find(({ to }) => to === email)?.link ?? url).searchParams.get(
      "token",
    );
    const body = JSON.stringify({ token });
    const redeemed = await exchange(
      pair.port,
      "POST /_runegate/auth",
      [`Cookie: ${cookie}`, "Content-Type: application/json", `Content-Length: ${body.length}`],
      body,
    );
    expect(redeemed.status).toBe(200);
  }

  test("at the next look, where the session has ended before the request was listed", async () => {
    const cookie = await pair.gateway.signIn("quick@example.org");
    const { live } = pair.gateway.gateway;
    pair.upstream.on("/quick", async ({ wire }) => {
      await logOut(pair, cookie);
      expect(live.size).toBe(0);
      clock.advance(LISTED_MS);
      await until(() => live.size === 1);
      void live.sweep();
      await wire.ended;
    });
    const answer = await within(AT_MOST_MS, exchange(pair.port, "GET /quick", [`Cookie: ${cookie}`]));
    expect(answer.status).toBe(401);
  });

  test("when the application signs the visitor out itself and waits for that before it answers", async () => {
    const cookie = await pair.gateway.signIn("by-application@example.org");
    const { live } = pair.gateway.gateway;
    pair.upstream.on("/sign-out", async ({ body, reply }) => {
      clock.advance(LISTED_MS);
      await until(() => live.size === 1);
      expect((await logOut(pair, cookie)).status).toBe(200);
      await body();
      await reply(200, ["Content-Type: text/plain"], "signed out");
    });
    const answer = await within(
      AT_MOST_MS,
      exchange(pair.port, "POST /sign-out", [`Cookie: ${cookie}`, "Content-Length: 2"], "{}"),
    );
    expect(answer.status).toBe(401);
    expect(live.size).toBe(0);
  });

  test("with 503 where the store has not said for seconds whether the session lives", async () => {
    const { visitor, application } = await begin(pair, requestHead("GET /work"), silence);
    pair.gateway.gateway.live.closeAll("unverified");
    const answer = await within(AT_MOST_MS, readResponse(visitor));
    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ error: "store_unavailable" });
    await within(AT_MOST_MS, application.ended);
    visitor.destroy();
  });
});

test("a request of another session goes on, and so does its connection", async () => {
  const gone = await begin(pair, requestHead("GET /work"), silence);
  const { visitor, cookie } = await begin(pair, requestHead("GET /work"), silence);
  await logOut(pair, gone.cookie);
  expect((await within(AT_MOST_MS, readResponse(gone.visitor))).status).toBe(401);
  pair.upstream.on("/next", ({ reply }) => reply(200, ["Content-Type: text/plain"], "next"));
  // The connection that was told 401 is as good as any.
  await gone.visitor.write(requestHead("GET /next", [`Cookie: ${cookie}`]));
  const next = await within(AT_MOST_MS, readResponse(gone.visitor));
  expect([next.status, framingOf(next, 200)]).toEqual([200, "length"]);
  expect(pair.gateway.gateway.live.size).toBe(1);
  visitor.destroy();
  gone.visitor.destroy();
});

test("when the process stops, a request that waits is answered, and still ends with its session", async () => {
  const { live } = pair.gateway.gateway;
  const waiting = Promise.withResolvers<void>();
  const first = await begin(pair, requestHead("GET /work"), ({ reply }) => {
    void waiting.promise.then(() => reply(200, ["Content-Type: text/plain"], "done"));
  });
  const second = await begin(pair, requestHead("GET /work"), silence);
  live.closeAll("shutdown");
  expect(live.size).toBe(2);
  await logOut(pair, second.cookie);
  expect((await within(AT_MOST_MS, readResponse(second.visitor))).status).toBe(401);
  waiting.resolve();
  const answer = await within(AT_MOST_MS, readResponse(first.visitor));
  expect([answer.status, answer.body.toString()]).toEqual([200, "done"]);
  for (const { visitor } of [first, second]) visitor.destroy();
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
