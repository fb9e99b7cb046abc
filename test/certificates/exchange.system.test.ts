import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNamespace } from "../process/namespace.ts";
import { openStage } from "../process/stage.ts";
import { makeCertificate } from "../support/certificate.ts";
import { freePort } from "../support/process.ts";
import { ask, shown, signIn } from "./client.ts";

/** Certificates are exchanged 24 times under load, and no request is lost: over fresh and kept connections, and HTTP/2. */

setDefaultTimeout(150_000);

/** For one process, and as many with two workers, at the same time. */
const TIMES = 12;

inNamespace(import.meta.path, () => {
  const folder = mkdtempSync(join(tmpdir(), "runegate-exchange-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const versions = Array.from({ length: TIMES + 1 }, (_, i) => {
    const version = join(folder, `v${i}`);
    mkdirSync(version);
    const { cert, key } = makeCertificate({ names: ["localhost", `v${i}.test`] });
    writeFileSync(join(version, "localhost.key"), key, { mode: 0o600 });
    writeFileSync(join(version, "localhost.crt"), cert);
    return version;
  });

  test.concurrent.each([1, 2])(
    "exchanged 12 times with %d processes, and nothing is lost",
    async (workers) => {
      const port = freePort();
      const origin = `https://localhost:${port}`;
      const live = join(folder, `live${workers}`);
      symlinkSync(versions[0] ?? "", live);
      await using stage = await openStage({
        workers,
        options: {
          RUNEGATE_LISTEN: `127.0.0.1:${port}`,
          RUNEGATE_HTTP_LISTEN: "off",
          RUNEGATE_BASE_URL: origin,
          RUNEGATE_TLS: "files",
          RUNEGATE_TLS_CERT: live,
        },
      });
      const [cookie = ""] = (await signIn(stage, origin)).split(";");
      const load = { done: false, answered: { kept: 0, fresh: 0, http2: 0 }, problems: [] as string[] };
      const visitors = [
        // POST, which no client sends again by itself.
        overHttp1("kept", origin, cookie, load),
        overHttp1("kept", origin, cookie, load),
        overHttp1("fresh", origin, cookie, load),
        overHttp2(origin, cookie, load),
      ];
      for (const version of versions.slice(1)) {
        symlinkSync(version, `${live}.new`);
        renameSync(`${live}.new`, live);
        stage.main.signal("SIGHUP");
        await stage.says(/ goes on with other certificates /);
      }
      load.done = true;
      await Promise.all(visitors);
      expect(load.problems).toEqual([]);
      for (const [kind, count] of Object.entries(load.answered)) {
        expect([kind, count > 10 * TIMES]).toEqual([kind, true]);
      }
      for (let i = 0; i < 4; i++) expect((await shown(port, "localhost")).names).toContain(`v${TIMES}.test`);
    },
  );
});

type Load = { done: boolean; answered: { kept: number; fresh: number; http2: number }; problems: string[] };

const BODY = "x".repeat(100);

async function overHttp1(kind: "kept" | "fresh", origin: string, cookie: string, load: Load): Promise<void> {
  const headers = { Cookie: cookie, Origin: origin, "Sec-Fetch-Site": "same-origin" };
  while (!load.done) {
    try {
      const answer = await ask(origin, "/upload", {
        ...{ method: "POST", body: BODY, headers, keepalive: kind === "kept" },
      });
      if ((await answer.text()) !== "100") load.problems.push(`${kind}: ${answer.status}`);
      load.answered[kind]++;
    } catch (error) {
      load.problems.push(`${kind}: ${error}`);
    }
  }
}

async function overHttp2(origin: string, cookie: string, load: Load): Promise<void> {
  while (!load.done) {
    const session = connect(origin, { rejectUnauthorized: false });
    let isLeaving = false;
    session.on("goaway", () => {
      isLeaving = true;
    });
    session.on("error", (error) => load.problems.push(`HTTP/2 connection: ${error}`));
    while (!load.done && !isLeaving && !session.closed && !session.destroyed) {
      try {
        const text = await post(session, cookie);
        if (text !== "100") load.problems.push(`HTTP/2: ${text}`);
        load.answered.http2++;
      } catch (error) {
        // Not sent: the client has heard that it is to go elsewhere (RFC 9113 §6.8), and has not told us yet.
        if (error instanceof Error && "code" in error && error.code === "ERR_HTTP2_GOAWAY_SESSION") break;
        load.problems.push(`HTTP/2: ${error}`);
      }
    }
    session.close();
  }
}

function post(session: ClientHttp2Session, cookie: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const stream = session.request({ ":method": "POST", ":path": "/upload", cookie });
  let text = "";
  stream.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  stream.on("end", () => resolve(text));
  stream.on("error", reject);
  stream.end(BODY);
  return promise;
}
