import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acceptWebSocket, HANDSHAKE, type Peer, peerOf } from "../proxy/websocket.ts";
import { makeCertificate } from "../support/certificate.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { needs } from "../support/needs.ts";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { dialTls, readResponseHead, requestHead } from "../support/raw.ts";
import { type Exchange, responseHead, startUpstream, type Upstream } from "../support/upstream.ts";

/** What every TLS proxy in front of Runegate has to do, with the real program and the configuration that is shipped for it. */

/** The name in the shipped configurations. */
export const DOMAIN = "app.example.org";
const ORIGIN = `https://${DOMAIN}`;

export type Place = {
  readonly folder: string;
  readonly http: number;
  readonly https: number;
  /** Runegate's. */
  readonly gateway: number;
  readonly certificate: string;
  readonly key: string;
};

/** Replaces what an installation fills in. @throws if the shipped text has it no more. */
export function fillIn(shipped: string, values: readonly (readonly [string | RegExp, string])[]): string {
  return values.reduce((text, [pattern, value]) => {
    const filled = text.replaceAll(pattern, value);
    if (filled === text) throw new Error(`the shipped configuration has no ${pattern}`);
    return filled;
  }, shipped);
}

export function describeEdge(
  name: string,
  program: string,
  commandFor: (program: string, place: Place) => readonly string[],
): void {
  setDefaultTimeout(20_000);
  const found = needs(program);
  const curl = needs("curl");

  describe.skipIf(found === undefined || curl === undefined)(`${name} in front of Runegate`, () => {
    let place: Place;
    let upstream: Upstream;
    let gateway: TestGateway;
    let edge: RunningProcess;
    let cookie: string;

    beforeAll(async () => {
      const folder = mkdtempSync(join(tmpdir(), "runegate-edge-"));
      const { cert, key } = makeCertificate({ names: [DOMAIN] });
      upstream = await startUpstream();
      gateway = await startGateway({
        target: upstream.url,
        env: {
          RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
          RUNEGATE_BASE_URL: ORIGIN,
          RUNEGATE_SECURE_COOKIE: "true",
        },
      });
      place = {
        folder,
        http: freePort(),
        https: freePort(),
        gateway: gateway.port,
        certificate: join(folder, "fullchain.pem"),
        key: join(folder, "privkey.pem"),
      };
      writeFileSync(place.certificate, cert);
      writeFileSync(place.key, key);
      edge = startProcess(commandFor(found ?? program, place), { HOME: folder, XDG_DATA_HOME: folder });
      await listening(edge, place.https);
      cookie = await gateway.signIn();
    });

    afterAll(async () => {
      edge?.signal("SIGTERM");
      await edge?.exited;
      await gateway?.stop();
      upstream?.stop();
      if (place !== undefined) rmSync(place.folder, { recursive: true });
    });

    /** curl as a browser elsewhere (127.0.0.2), with what it prints. */
    async function ask(path: string, ...args: string[]) {
      const child = Bun.spawn(curlCommand(`${ORIGIN}${path}`, "-i", ...args), {
        stdout: "pipe",
        stderr: "pipe",
      });
      const text = await new Response(child.stdout).text();
      if ((await child.exited) !== 0) throw new Error(`curl: ${await new Response(child.stderr).text()}`);
      const [head = "", ...body] = text.split("\r\n\r\n");
      const [status = "", ...lines] = head.split("\r\n");
      const fields = lines.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      });
      return {
        status: Number(status.split(" ")[1]),
        head,
        headers: new Headers(fields),
        body: body.join(""),
      };
    }

    function curlCommand(url: string, ...args: string[]): string[] {
      return [
        curl ?? "curl",
        "-sSN",
        "--http2",
        ...["--cacert", place.certificate, "--interface", "127.0.0.2"],
        ...["--connect-to", `${DOMAIN}:443:127.0.0.1:${place.https}`],
        ...["--connect-to", `${DOMAIN}:80:127.0.0.1:${place.http}`],
        ...args,
        url,
      ];
    }

    const signedIn = () => ["-H", `Cookie: ${cookie}`];

    /** The request that reached the application for a path; there is one. */
    function arrived(path: string) {
      const requests = upstream.to(path);
      expect(requests).toHaveLength(1);
      const [request] = requests;
      if (request === undefined) throw new Error("unreachable");
      return request;
    }

    test("a login from end to end, over HTTP/2", async () => {
      const jar = join(place.folder, "jar");
      const jars = ["-b", jar, "-c", jar];
      const turnedAway = await ask("/private?a=1", ...jars, "-H", "Accept: text/html");
      expect(turnedAway.head).toStartWith("HTTP/2 ");
      expect([302, 303, 401]).toContain(turnedAway.status);
      expect(upstream.to("/private")).toEqual([]);

      const asked = await ask(
        "/login",
        ...jars,
        ...["-H", "Content-Type: application/json", "-H", `Origin: ${ORIGIN}`],
        ...["-d", JSON.stringify({ email: "grace@example.org", next: "/private?a=1" })],
      );
      expect(asked.status).toBe(200);
      await gateway.gateway.outbox.runDue();
      const link = (await gateway.mailbox.mails()).find(({ to }) => to === "grace@example.org")?.link ?? "";
      expect(link).toStartWith(`${ORIGIN}/`);
      const opened = await ask(link.slice(ORIGIN.length), ...jars);
      expect([opened.status, opened.headers.get("location")]).toEqual([302, "/private?a=1"]);
      expect(opened.headers.get("set-cookie")).toMatch(/; Secure/);

      const page = await ask("/private?a=1", ...jars);
      expect([page.head.split("\r\n")[0]?.trim(), page.status]).toEqual(["HTTP/2 200", 200]);
      expect(arrived("/private").one("x-runegate-user")).toBe("grace@example.org");
    });

    test("the application sees the browser's address, host and scheme", async () => {
      await ask("/who", ...signedIn());
      const request = arrived("/who");
      expect(request.one("x-real-ip")).toBe("127.0.0.2");
      expect(request.one("x-forwarded-for")).toBe("127.0.0.2, 127.0.0.1");
      expect(request.one("x-forwarded-proto")).toBe("https");
      expect(request.one("x-forwarded-host")).toBe(DOMAIN);
      expect(request.one("host")).toBe(DOMAIN);
    });

    test.each([
      "/_runegate/check/nginx",
      "/_runegate/check/caddy",
      "/_runegate/challenge",
      "/_runegate/./check/nginx",
      "/_runegate/%63heck/nginx",
    ])("A20: nobody outside asks %s", async (path) => {
      const described = [
        ...[`X-Original-URL: ${ORIGIN}/`, "X-Original-Method: GET"],
        ...["X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "Cookie: application=secret"],
      ].flatMap((field) => ["-H", field]);
      const { status, head } = await ask(path, "--path-as-is", ...signedIn(), ...described);
      expect([status, head]).toEqual([404, expect.not.stringContaining("secret")]);
    });

    test("nothing of what a browser forges gets through", async () => {
      const forged = [
        "X-Forwarded-For: 203.0.113.66",
        "X-Forwarded-For: 203.0.113.67, 127.0.0.1",
        "X_Forwarded_For: 203.0.113.66",
        "X-Forwarded-Host: forged.example",
        "X-Forwarded-Proto: forged",
        "X-Forwarded-Port: 6666",
        "X-Forwarded-Prefix: /forged",
        "X-Forwarded-Uri: /forged",
        "X-Forwarded-Server: forged.example",
        "X-Forwarded-By: forged.example",
        "X-Forwarded-Protocol: forged",
        "X-Forwarded-Client-Cert: forged",
        "Forwarded: for=203.0.113.66;host=forged.example;proto=http",
        "X-Real-IP: 203.0.113.66",
        "X-Runegate-User: forged@example.org",
        "X-Runegate-Authenticated: forged",
        "X-Forwarded-User: forged@example.org",
        "X-Forwarded-Email: forged@example.org",
        "Remote-User: forged@example.org",
        "Remote_User: forged@example.org",
        "Proxy: http://forged.example",
      ].flatMap((field) => ["-H", field]);
      await ask("/forged-headers", ...signedIn(), ...forged);
      const request = arrived("/forged-headers");
      const received = request.fields.map(([field, value]) => `${field}: ${value}`).join("\n");
      expect(received).not.toMatch(/203\.0\.113|: \/?forged|forged[@.]|6666/);
      expect(received).not.toMatch(
        /^(forwarded|x-forwarded-(port|prefix|uri|server|by|protocol|client-cert)|proxy):/im,
      );
      expect(request.one("x-real-ip")).toBe("127.0.0.2");
      expect(request.one("x-forwarded-for")).toBe("127.0.0.2, 127.0.0.1");
      expect(request.one("x-forwarded-host")).toBe(DOMAIN);
      expect(request.one("x-runegate-user")).toBe("ada@example.org");

      const stranger = await ask("/forged-stranger", ...forged);
      expect([302, 303, 401]).toContain(stranger.status);
      expect(upstream.to("/forged-stranger")).toEqual([]);
    });

    test("a host that is not ours is not passed on", async () => {
      const before = gateway.lines.length;
      const answer = await ask("/elsewhere", ...signedIn(), "-H", "Host: forged.example");
      expect(answer.body).not.toMatch(/Runegate/);
      expect(upstream.to("/elsewhere")).toEqual([]);
      expect(gateway.lines.slice(before).join()).not.toContain("/elsewhere");
    });

    test("nobody outside asks what an edge asks, in any spelling", async () => {
      for (const path of ["check/nginx", "check/caddy", "challenge", "%63heck/caddy", "x/../check/caddy"]) {
        const answer = await ask(
          `/_runegate/${path}`,
          "--path-as-is",
          ...["-H", `Cookie: ${cookie}; secret=cookie`],
          ...["-H", `X-Original-URL: ${ORIGIN}/`, "-H", "X-Original-Method: GET"],
          ...["-H", "X-Forwarded-Uri: /", "-H", "X-Forwarded-Method: GET"],
        );
        expect([path, answer.status, answer.head.includes("secret=cookie")]).toEqual([path, 404, false]);
      }
    });

    test("an event stream arrives event by event", async () => {
      const opened = Promise.withResolvers<Exchange>();
      upstream.on("/stream", async (exchange) => {
        await exchange.wire.write(
          responseHead(200, ["Content-Type: text/event-stream", "Connection: close"]),
        );
        opened.resolve(exchange);
        await exchange.wire.ended;
      });
      const reader = readerOf(curlCommand(`${ORIGIN}/stream`, ...signedIn()));
      const { wire } = await opened.promise;
      for (let id = 1; id <= 5; id++) {
        await wire.write(`id: ${id}\ndata: x\n\n`);
        // The next is not sent before this one has come, so whatever holds one back never sees the end.
        await reader.until(`id: ${id}\n`);
      }
      // And the end of the visit is the end of the work.
      reader.leave();
      await wire.ended;
    });

    test("an upload arrives while it is being sent", async () => {
      const began = Promise.withResolvers<void>();
      upstream.on("/trickle", async ({ wire, reply }) => {
        await wire.readUntil("first");
        began.resolve();
        await wire.readUntil("second");
        await reply(200, ["Connection: close"], "both");
        wire.end();
        await wire.ended;
      });
      const child = Bun.spawn(curlCommand(`${ORIGIN}/trickle`, ...signedIn(), "-X", "POST", "-T", "-"), {
        stdin: "pipe",
        stdout: "pipe",
      });
      child.stdin.write("first");
      await child.stdin.flush();
      await began.promise;
      child.stdin.write(", second");
      await child.stdin.end();
      expect(await new Response(child.stdout).text()).toBe("both");
    });

    test("an upload of 256 MiB streams through", async () => {
      const size = 256 * 1024 ** 2;
      let counted = 0;
      upstream.on("/upload", async ({ request, wire, body, reply }) => {
        if (request.one("content-length") === undefined) counted = (await body()).byteLength;
        else counted = await wire.skip(Number(request.one("content-length")));
        await reply(200, ["Connection: close"], String(counted));
        wire.end();
        await wire.ended;
      });
      const file = join(place.folder, "upload");
      const descriptor = openSync(file, "w");
      ftruncateSync(descriptor, size);
      closeSync(descriptor);
      const answer = await ask("/upload", ...signedIn(), "-X", "POST", "-H", "Expect:", "-T", file);
      expect([answer.status, answer.body]).toEqual([200, String(size)]);
      expect(counted).toBe(size);
    }, 60_000);

    test("a WebSocket echoes both ways", async () => {
      const accepted = Promise.withResolvers<Peer>();
      upstream.on("/socket", async (exchange) => {
        const peer = await acceptWebSocket(exchange);
        accepted.resolve(peer);
        for (;;) {
          const came = await peer.nextMessage();
          if (came.kind === "gone") return;
          if (came.kind === "close") await peer.close(came.code);
          else if (came.kind === "binary") await peer.binary(came.data);
          else await peer.text(`echo ${came.data}`);
        }
      });
      const wire = await dialTls(place.https, DOMAIN, readFileSync(place.certificate, "utf8"));
      await wire.write(requestHead("GET /socket", [...HANDSHAKE, `Cookie: ${cookie}`, `Origin: ${ORIGIN}`]));
      expect((await readResponseHead(wire)).status).toBe(101);
      const peer = peerOf(wire, "client");
      await peer.text("hello");
      expect(await peer.nextMessage()).toMatchObject({ kind: "text", data: Buffer.from("echo hello") });
      const large = new Uint8Array(300_000).fill(7);
      await peer.binary(large);
      expect(await peer.nextMessage()).toMatchObject({ kind: "binary", data: Buffer.from(large) });
      await (await accepted.promise).text("unasked");
      expect(await peer.nextMessage()).toMatchObject({ kind: "text", data: Buffer.from("unasked") });
      await peer.close(1000);
      expect(await peer.nextMessage()).toMatchObject({ kind: "close", code: 1000 });
      wire.destroy();
    });

    test("an upgrade to anything but a WebSocket is not passed on", async () => {
      const wire = await dialTls(place.https, DOMAIN, readFileSync(place.certificate, "utf8"));
      await wire.write(
        requestHead("GET /h2c", [
          `Cookie: ${cookie}`,
          "Connection: Upgrade, HTTP2-Settings",
          "Upgrade: h2c",
          "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ]),
      );
      expect((await readResponseHead(wire)).status).toBe(200);
      wire.destroy();
      expect(arrived("/h2c").all("upgrade")).toEqual([]);
    });

    test("browsers are told once to come by https, on every kind of answer", async () => {
      upstream.on("/own-hsts", ({ reply }) => reply(200, ["Strict-Transport-Security: max-age=1"]));
      upstream.on("/missing", ({ reply }) => reply(404));
      for (const path of ["/own-hsts", "/missing", "/login"]) {
        const { headers } = await ask(path, ...signedIn());
        expect(headers.get("strict-transport-security")).toBe("max-age=63072000");
      }
    });

    test("http is redirected, and the program does not tell its version", async () => {
      const child = Bun.spawn(curlCommand(`http://${DOMAIN}/some/where?q=1`, "-i"), { stdout: "pipe" });
      const head = await new Response(child.stdout).text();
      expect(head).toMatch(/^HTTP\/1\.1 30[18] /);
      const location = /^location: (.*)$/im.exec(head)?.[1]?.trim();
      expect(location?.replace(`:${place.https}/`, "/")).toBe(`${ORIGIN}/some/where?q=1`);
      const { headers } = await ask("/login");
      expect(headers.get("server") ?? "").not.toMatch(/\d/);
    });

    test("TLS before 1.2 is refused", async () => {
      const child = Bun.spawn(
        curlCommand(`${ORIGIN}/`, "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"),
        {
          stdout: "ignore",
          stderr: "pipe",
        },
      );
      expect(await child.exited).toBe(35);
    });

    test("no token of a login link is in what the program logs", async () => {
      await ask("/auth?token=a-token-nobody-may-read");
      expect(edge.output()).not.toContain("a-token-nobody-may-read");
      const log = Bun.file(join(place.folder, "access.log"));
      if (await log.exists()) {
        expect(await log.text()).toContain("/auth");
        expect(await log.text()).not.toContain("a-token-nobody-may-read");
      }
    });
  });
}

async function listening(edge: RunningProcess, port: number): Promise<void> {
  const gone = edge.exited.then((code) => {
    throw new Error(`ended with ${code}:\n${edge.output()}`);
  });
  const until = Date.now() + 10_000;
  const opened = async () => {
    for (;;) {
      try {
        const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
        socket.end();
        return;
      } catch (error) {
        if (Date.now() > until) throw new Error(`does not listen:\n${edge.output()}`, { cause: error });
        await Bun.sleep(20);
      }
    }
  };
  gone.catch(() => {});
  await Promise.race([opened(), gone]);
}

function readerOf(command: readonly string[]) {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "ignore" });
  const reader = child.stdout.getReader();
  let text = "";
  return {
    async until(mark: string): Promise<void> {
      while (!text.includes(mark)) {
        const { done, value } = await reader.read();
        if (done) throw new Error(`ended without ${mark}: ${text}`);
        text += Buffer.from(value).toString();
      }
    },
    leave: () => child.kill(),
  };
}
