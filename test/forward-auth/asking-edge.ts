import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../../src/identity/address.ts";
import { DOMAIN } from "../deploy/edge.ts";
import { acceptWebSocket, HANDSHAKE, peerOf } from "../proxy/websocket.ts";
import { makeCertificate } from "../support/certificate.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { dialTls, exchangeOver, type RawResponse, readResponseHead, requestHead } from "../support/raw.ts";
import { type Exchange, responseHead, startUpstream, type Upstream } from "../support/upstream.ts";
import { type Configure, listening, type Place } from "./real-edges.ts";
import { errorOf, FETCH, NAVIGATION } from "./support.ts";

/** An edge that asks, as it really is and as it is shipped: what a browser gets through it, and what the application is told. */

export type RealEdge = {
  readonly name: string;
  readonly configure: Configure;
  /** What it makes of a check that is answered with 400. */
  readonly refused: number;
  /** What it answers where no check is. */
  readonly withoutRunegate: number;
  /** The visitor's address, where it is not said in the usual way. */
  readonly client?: RegExp;
};

const ORIGIN = `https://${DOMAIN}`;
/** The run by hand has a whole gigabyte. */
const UPLOAD = Number(process.env.RUNEGATE_TEST_UPLOAD_MB ?? 64) * 1024 * 1024;

export function describeAskingEdge(program: string, edge: RealEdge): void {
  setDefaultTimeout(60_000);

  describe(`${edge.name} asks`, () => {
    let place: Place;
    let running: RunningProcess;
    let upstream: Upstream;
    let gateway: TestGateway;
    let authority: string;
    let ada: string;
    let bob: string;

    beforeAll(async () => {
      const folder = mkdtempSync(join(tmpdir(), "runegate-asks-"));
      chmodSync(folder, 0o755);
      const { cert, key } = makeCertificate({ names: [DOMAIN] });
      authority = cert;
      upstream = await startUpstream();
      gateway = await startGateway({
        env: {
          RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
          RUNEGATE_BASE_URL: ORIGIN,
          RUNEGATE_LANDING_PATH: "/start",
          RUNEGATE_SECURE_COOKIE: "true",
          RUNEGATE_API_KEYS: "true",
        },
        routes: `
        [[routes]]
        name = "app"
        host = "${DOMAIN}"
        external = true
        allow = ["ada@example.org", "grace@example.org"]
        public_paths = ["/public/*"]
        api_keys = true
        [[routes]]
        name = "other"
        host = "other.example.org"
        external = true
        allow = ["bob@example.org"]
      `,
      });
      place = {
        ...{ folder, port: freePort(), gateway: gateway.port, application: upstream.port },
        certificate: join(folder, "fullchain.pem"),
        key: join(folder, "privkey.pem"),
        pair: join(folder, "pair.pem"),
      };
      writeFileSync(place.certificate, cert);
      writeFileSync(place.key, key);
      writeFileSync(place.pair, cert + key);
      running = startProcess([program, ...edge.configure(place)], { HOME: folder, XDG_DATA_HOME: folder });
      // Some listen before they have read all of their configuration.
      await listening(running, place.port, dial);
      [ada, bob] = await Promise.all([gateway.signIn("ada@example.org"), gateway.signIn("bob@example.org")]);
    });
    afterAll(async () => {
      running?.signal("SIGTERM");
      await running?.exited;
      await gateway?.stop();
      upstream?.stop();
      if (place !== undefined) rmSync(place.folder, { recursive: true });
    });

    const dial = () => dialTls(place.port, DOMAIN, authority);
    const ask = async (line: string, fields: readonly string[] = [], body = "") =>
      exchangeOver(await dial(), line, fields, body);
    const as = (cookie: string, ...fields: string[]) => [`Cookie: ${cookie}`, ...fields];
    const cookieOf = (response: RawResponse) =>
      response
        .all("set-cookie")
        .map((field) => field.split(";", 1)[0])
        .join("; ");

    test("a login from end to end", async () => {
      const turnedAway = await ask("GET /private?a=1", NAVIGATION);
      const login = `${ORIGIN}/_runegate/login?next=%2Fprivate%3Fa%3D1`;
      expect([turnedAway.status, turnedAway.one("location")]).toEqual([302, login]);
      expect((await ask(`GET ${login.slice(ORIGIN.length)}`, NAVIGATION)).status).toBe(200);
      const wanted = JSON.stringify({ email: "grace@example.org", next: "/private?a=1" });
      const asked = await ask(
        "POST /_runegate/login",
        ["Content-Type: application/json", `Content-Length: ${wanted.length}`, `Origin: ${ORIGIN}`],
        wanted,
      );
      expect(asked.status).toBe(200);
      await gateway.gateway.outbox.runDue();
      const link = gateway.mailbox.mails().find(({ to }) => to === "grace@example.org")?.link ?? "";
      expect(link).toStartWith(`${ORIGIN}/`);
      const opened = await ask(`GET ${link.slice(ORIGIN.length)}`, as(cookieOf(asked), ...NAVIGATION));
      expect([opened.status, opened.one("location")]).toEqual([302, "/private?a=1"]);
      expect(upstream.to("/private")).toEqual([]);
      expect((await ask("GET /private?a=1", as(cookieOf(opened), ...NAVIGATION))).status).toBe(200);
      expect(upstream.to("/private")[0]?.one("remote-user")).toBe("grace@example.org");
    });

    test("the application is told who is asking, and gets no cookie of Runegate's", async () => {
      const others = `b=${"x".repeat(6000)}`;
      const fields = [`Cookie: a=1; ${ada}; ${others}`, "Authorization: Basic eDp5", "X-Runegate-Key: k"];
      // A key of nobody's: with it, the session does not count.
      const withKey = await ask("GET /told?a=1", fields);
      expect([200, 401]).toContain(withKey.status);
      const before = upstream.to("/told").length;
      expect((await ask("GET /told?a=1", fields.slice(0, 2))).status).toBe(200);
      const [request] = upstream.to("/told").slice(before);
      expect(request?.target).toBe("/told?a=1");
      expect(request?.one("remote-user")).toBe("ada@example.org");
      expect(request?.one("remote-email")).toBe("ada@example.org");
      expect(request?.one("x-runegate-user")).toBe("ada@example.org");
      expect(request?.one("x-forwarded-user")).toBe("ada@example.org");
      expect(request?.one("x-auth-request-email")).toBe("ada@example.org");
      expect(request?.one("remote-groups") ?? "").toBe("");
      expect(request?.one("cookie")).toBe(`a=1; ${others}`);
      expect(request?.one("authorization")).toBe("Basic eDp5");
      expect(request?.one("host")).toBe(DOMAIN);
      expect(request?.one("x-forwarded-for")).toMatch(edge.client ?? /^127\.0\.0\.1$/);
      for (const one of upstream.to("/told")) expect(one.one("x-runegate-key")).toBeUndefined();
    });

    test("a program gets in with a key, which the application does not get, and with no other", async () => {
      const { apiKeys } = gateway.gateway;
      const by = { name: "test", isAdmin: true };
      const made = await apiKeys.create({ owner: "ada@example.org", paths: ["/keyed/*"] }, by);
      if ("refused" in made) throw new Error(made.message);
      const { token, key } = made;
      const basic = `Authorization: Basic ${btoa(`ada:${token}`)}`;
      for (const field of [`Authorization: Bearer ${token}`, `X-Runegate-Key: ${token}`, basic]) {
        expect((await ask("GET /keyed/x", as(bob, field))).status).toBe(200);
        const got = upstream.to("/keyed/x").at(-1);
        expect(got?.one("remote-user")).toBe("ada@example.org");
        expect(got?.one("x-runegate-key-id")).toBe(key.id);
        expect(got?.one("x-authenticated-user")).toBe("ada@example.org");
        expect(got?.one("x-authenticated-token-id")).toBe(key.id);
        expect(got?.one("authorization") ?? "").toBe("");
        expect(got?.one("x-runegate-key") ?? "").toBe("");
        expect(got?.text).not.toContain(token.slice(16));
      }
      for (const [path, shown, status, error] of [
        ["/other", token, 403, "key_scope"],
        ["/keyed/..%2fother", token, 403, "key_scope"],
        ["/keyed/x", `${token}x`, 401, "invalid_key"],
      ] as const) {
        const answer = await ask(`GET ${path}`, as(ada, `Authorization: Bearer ${shown}`, ...NAVIGATION));
        expect([path, answer.status, answer.one("location")]).toEqual([path, status, undefined]);
        const plain = await ask(`GET ${path}`, as(ada, `Authorization: Bearer ${shown}`, ...FETCH));
        expect([plain.status, errorOf(plain)]).toEqual([status, error]);
      }
      await apiKeys.revoke(key.id, by);
      expect((await ask("GET /keyed/x", [`Authorization: Bearer ${token}`])).status).toBe(401);
    });

    test("over HTTP/2 too, where a browser sends each cookie by itself", async () => {
      const session = connect(`https://127.0.0.1:${place.port}`, { ca: authority, servername: DOMAIN });
      const request = session.request({
        ":path": "/two?a=1",
        ":authority": DOMAIN,
        cookie: ["a=1", ada, "b=2"] as unknown as string,
      });
      const status = await new Promise((resolve, reject) => {
        request.on("response", (headers) => resolve(headers[":status"]));
        request.on("error", reject);
        request.end();
      });
      session.destroy();
      expect(status).toBe(200);
      const [received] = upstream.to("/two");
      expect([received?.one("remote-user"), received?.one("cookie")]).toEqual([
        "ada@example.org",
        "a=1; b=2",
      ]);
    });

    test("whoever comes to a public path is nobody, and gets in", async () => {
      expect((await ask("GET /public/nobody", ["Cookie: a=1"])).status).toBe(200);
      const [request] = upstream.to("/public/nobody");
      for (const name of ["remote-user", "x-runegate-user", "x-forwarded-email"]) {
        expect([name, request?.one(name) ?? ""]).toEqual([name, ""]);
      }
    });

    test("a script gets 401 and JSON, a form 303, a stranger 403, and a WebSocket 401", async () => {
      const script = await ask("GET /refused", FETCH);
      expect([script.status, errorOf(script)]).toEqual([401, "unauthenticated"]);
      expect((await ask("HEAD /refused", FETCH)).status).toBe(401);
      const form = await ask("POST /refused", [...NAVIGATION, "Content-Length: 5"], "hello");
      const login = `${ORIGIN}/_runegate/login?next=%2Fstart`;
      expect([form.status, form.one("location")]).toEqual([303, login]);
      const stranger = await ask("GET /refused", as(bob, ...NAVIGATION));
      expect([stranger.status, stranger.one("location")]).toEqual([403, undefined]);
      expect(stranger.body.toString()).toContain("not open to you");
      expect((await ask("GET /refused", HANDSHAKE)).status).toBe(401);
      expect(upstream.to("/refused")).toEqual([]);
    });

    test("a script that fetches the login page gets 401", async () => {
      expect((await ask("GET /_runegate/login", FETCH)).status).toBe(401);
    });

    test.each([
      ["of a length", ["Content-Length: 100000"], "x".repeat(100_000)],
      ["in chunks", ["Transfer-Encoding: chunked"], `186A0\r\n${"x".repeat(100_000)}\r\n0\r\n\r\n`],
    ] as const)("a body %s arrives whole", async (_, fields, body) => {
      let length = 0;
      upstream.on("/body", async ({ body: read, reply }) => {
        length = (await read()).byteLength;
        await reply(200);
      });
      expect((await ask("POST /body", as(ada, ...fields), body)).status).toBe(200);
      expect(length).toBe(100_000);
    });

    test("a large upload arrives whole", async () => {
      let counted = 0;
      upstream.on("/upload", async ({ request, wire, reply, body }) => {
        const length = request.one("content-length");
        counted = length === undefined ? (await body()).byteLength : await wire.skip(Number(length));
        await reply(200, ["Connection: close"], "done");
        wire.end();
        await wire.ended;
      });
      const wire = await dial();
      await wire.write(requestHead("POST /upload", as(ada, `Content-Length: ${UPLOAD}`)));
      const piece = new Uint8Array(1024 * 1024);
      for (let sent = 0; sent < UPLOAD; sent += piece.byteLength) await wire.write(piece);
      expect((await readResponseHead(wire)).status).toBe(200);
      wire.destroy();
      expect(counted).toBe(UPLOAD);
    }, 600_000);

    test("an event stream arrives event by event, and ends with the visit", async () => {
      const opened = Promise.withResolvers<Exchange>();
      upstream.on("/stream", async (one) => {
        const head = responseHead(200, ["Content-Type: text/event-stream", "Connection: close"]);
        await one.wire.write(head);
        opened.resolve(one);
        await one.wire.ended;
      });
      const wire = await dial();
      await wire.write(requestHead("GET /stream", as(ada, "Accept: text/event-stream")));
      const { wire: application } = await opened.promise;
      for (let id = 1; id <= 5; id++) {
        await application.write(`id: ${id}\ndata: x\n\n`);
        // The next is not sent before this one has come, so whatever holds one back never sees the end.
        await wire.readUntil(`id: ${id}\n`);
      }
      wire.destroy();
      await application.ended;
    });

    test("a WebSocket opens and echoes, for pages of this origin", async () => {
      upstream.on("/socket", async (one) => {
        const peer = await acceptWebSocket(one);
        const came = await peer.nextMessage();
        if (came.kind === "text") await peer.text(`${came.data}, and back`);
        await peer.nextMessage();
      });
      const wire = await dial();
      await wire.write(requestHead("GET /socket", as(ada, `Origin: ${ORIGIN}`, ...HANDSHAKE)));
      expect((await readResponseHead(wire)).status).toBe(101);
      const peer = peerOf(wire, "client");
      await peer.text("there");
      expect(await peer.nextMessage()).toMatchObject({ kind: "text", data: Buffer.from("there, and back") });
      wire.destroy();
      const elsewhere = await ask("GET /socket", as(ada, "Origin: https://evil.example", ...HANDSHAKE));
      expect(elsewhere.status).toBe(403);
    });

    test("by HTTP/2 a WebSocket opens for pages of this origin only, where the edge has that", async () => {
      upstream.on("/socket-by-two", async (one) => {
        const peer = await acceptWebSocket(one);
        await peer.nextMessage();
      });
      const statusOf = async (origin: string) => {
        const script = join(import.meta.dir, "websocket-by-http2.cjs");
        const child = Bun.spawn(
          ["node", script, String(place.port), DOMAIN, ada, origin, place.certificate],
          {
            stdout: "pipe",
          },
        );
        return (await new Response(child.stdout).text()).trim();
      };
      const own = await statusOf(ORIGIN);
      // Some do not offer it (RFC 8441 §3), or refuse it.
      expect(["200", "400", "403", "not offered"]).toContain(own);
      expect(["400", "403", "not offered"]).toContain(await statusOf("https://evil.example"));
      expect(upstream.to("/socket-by-two")).toHaveLength(own === "200" ? 1 : 0);
    });

    test("nobody gets to talk another protocol past the check", async () => {
      const fields = [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
      ];
      expect([200, 403]).toContain((await ask("GET /h2c", as(ada, ...fields))).status);
      for (const request of upstream.to("/h2c")) expect(request.all("upgrade")).toEqual([]);
    });

    test("A1: what a visitor says was asked for counts for nothing", async () => {
      const forged = [
        `X-Original-URL: ${ORIGIN}/public/x`,
        "X-Original-Method: GET",
        "X-Original-URI: /public/x",
        "X-Forwarded-Uri: /public/x",
        "X-Forwarded-Method: GET",
        "X-Forwarded-Host: other.example.org",
        "X-Forwarded-Proto: https",
        "X-Forwarded-For: 203.0.113.66",
        "X-Forwarded-Prefix: /public",
        "X-Auth-Request-Redirect: /public/x",
        "X-Runegate-Cache: host",
      ];
      expect((await ask("GET /forged", [...FETCH, ...forged])).status).toBe(401);
      expect((await ask("GET /forged", as(bob, ...FETCH, ...forged))).status).toBe(403);
      expect((await ask("GET /public/x", forged)).status).toBe(200);
      expect(upstream.to("/forged")).toEqual([]);
      expect(upstream.to("/public/x")[0]?.one("x-forwarded-for")).toMatch(edge.client ?? /^127\.0\.0\.1$/);
    });

    test("A4: what a visitor says of who is asking does not get through, in any spelling", async () => {
      const names = [
        ...["Remote-User", "Remote.User", "Remote_User", "remote-user", "Remote-Groups", "Remote~Email"],
        ...[
          "X-Runegate-User",
          "X-Runegate-Actor",
          "X.Runegate.Actor",
          "X_Runegate_Actor",
          "X-Runegate.Actor",
        ],
        ...["X-Forwarded-User", "X.Forwarded.Email", "X_Forwarded_Groups"],
        ...["X-Auth-Request-User", "X.Auth.Request.User", "X-Authenticated-User", "X-WEBAUTH-USER"],
      ];
      for (const path of ["/public/forged", "/forged-by-ada"]) {
        for (const name of names) {
          const before = upstream.to(path).length;
          const answer = await ask(`GET ${path}`, as(ada, `${name}: eve@example.org`));
          const received = upstream.to(path).slice(before);
          expect([name, answer.status, received.length]).toBeOneOf([
            [name, 200, 1],
            [name, 400, 0],
            [name, edge.refused, 0],
          ]);
          expect(
            received.flatMap(({ fields }) => fields.filter(([, value]) => value.includes("eve"))),
          ).toEqual([]);
        }
        expect((await ask(`GET ${path}`, as(ada, "Remote-User: eve@example.org"))).status).toBe(edge.refused);
      }
    });

    test("A17: nobody gets out of a public path", async () => {
      const paths = [
        "/public/../secret",
        "/public/%2e%2e/secret",
        "/public//../secret",
        "/public/..%2fsecret",
      ];
      for (const path of paths) {
        const { status } = await ask(`GET ${path}`, FETCH);
        // Some edges pass on the normal form, and ask about that; 307 leads to it.
        expect([path, status]).toBeOneOf([200, 307, 400, 401].map((allowed) => [path, allowed]));
      }
      // A fragment is no part of a request; whatever the edge makes of one, it does not get in by it.
      await ask("GET /public/x#/../secret", FETCH);
      const arrived = upstream.requests.map(({ target }) => target).filter((one) => one.includes("secret"));
      expect(arrived.filter((target) => target !== "/public/secret")).toEqual([]);
    });

    test("A20: nobody outside asks", async () => {
      const described = [`X-Original-URL: ${ORIGIN}/`, "X-Original-Method: GET", "X-Forwarded-Method: GET"];
      const names = ["nginx", "caddy", "traefik", "envoy", "haproxy", "envoy/x", "other", "cached"];
      const plain = [...names.map((name) => `/_runegate/check/${name}`), "/_runegate/challenge"];
      for (const path of plain) {
        const answer = await ask(`GET ${path}`, as(ada, ...described, "X-Forwarded-Uri: /"));
        expect([path, answer.status, answer.all("remote-user")]).toEqual([path, 404, []]);
      }
      const odd = [
        ...[
          "/_runegate/./check/NAME",
          "/_runegate/x/../check/NAME",
          "/_runegate//check/NAME",
          "//_runegate/check/NAME",
        ],
        ...["/_runegate/%63heck/NAME", "/_runegate/%2e/check/NAME", "/_runegate/x/%2e%2e/check/NAME"],
        ...[
          "/%5frunegate/check/NAME",
          "/x/../_runegate/check/NAME",
          "/_runegate/check;/NAME",
          "/_RUNEGATE/check/NAME",
        ],
        ...[
          "/_runegate/CHECK/NAME",
          "/_runegate/check%2fNAME",
          "/_runegate\\check\\NAME",
          "/_runegate/.;/check/NAME",
        ],
        ...["/_runegate/x/..%2fcheck/NAME", "/_runegate/login/../check/NAME?x", "/_runegate/check/NAME#x"],
        ...["https://app.example.org/_runegate/check/NAME", "/public/../_runegate/check/NAME"],
        ...[
          "/_runegate/%63hallenge",
          "/_runegate/./challenge",
          "/_runegate/challenge?x",
          "/_runegate/challenge/",
        ],
      ];
      for (const pattern of odd) {
        for (const name of ["nginx", edge.name === "current caddy" ? "caddy" : edge.name]) {
          const path = pattern.replace("NAME", name);
          const answer = await ask(`GET ${path}`, as(`${ada}; secret=cookie`, ...described));
          expect([path, answer.status, answer.text.includes("secret=cookie")]).not.toEqual([
            path,
            200,
            false,
          ]);
          expect([path, answer.text.includes("secret=cookie"), answer.all("remote-user")]).toEqual([
            path,
            false,
            [],
          ]);
        }
      }
      expect(upstream.requests.filter(({ target }) => /runegate/i.test(target))).toEqual([]);
    });

    test("a session that has ended lets nobody pass from then on", async () => {
      const cookie = await gateway.signIn("ada@example.org");
      expect((await ask("GET /ended", as(cookie))).status).toBe(200);
      await gateway.gateway.sessions.endAll("ada@example.org" as Address);
      expect((await ask("GET /ended", as(cookie))).status).toBe(401);
      ada = await gateway.signIn("ada@example.org");
    });

    test("A21: with Runegate stopped, the application is not reached", async () => {
      await gateway.stop();
      const before = upstream.requests.length;
      const answer = await ask("GET /stopped", as(ada));
      expect(answer.status).toBe(edge.withoutRunegate);
      expect(upstream.requests.length).toBe(before);
    });
  });
}
