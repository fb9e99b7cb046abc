import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT } from "../../src/exit.ts";
import { openStage, type Stage } from "../process/stage.ts";
import { makeCertificate } from "../support/certificate.ts";
import { needs } from "../support/needs.ts";
import { freePort, runegate, startProcess } from "../support/process.ts";
import { ask, shown, signIn } from "./client.ts";

/** Runegate with nothing in front of it: TLS by itself, with certificates that somebody keeps in files, or of its own. */

setDefaultTimeout(60_000);

const curl = needs("curl");
const openssl = needs("openssl");
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), "runegate-tls-"));
  folders.push(folder);
  return folder;
}

function writePair(folder: string, name: string, facts: Parameters<typeof makeCertificate>[0] = {}) {
  const { cert, key } = makeCertificate({ names: [name], ...facts });
  writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
  writeFileSync(join(folder, `${name}.crt`), cert);
  return cert;
}

type Secure = Stage & { readonly origin: string; readonly httpPort: number };

async function openSecure(
  options: Readonly<Record<string, string>>,
  { workers = 1 }: { readonly workers?: number } = {},
): Promise<Secure> {
  const port = freePort();
  const httpPort = freePort();
  const origin = `https://localhost:${port}`;
  const stage = await openStage({
    workers,
    options: {
      RUNEGATE_LISTEN: `127.0.0.1:${port}`,
      RUNEGATE_HTTP_LISTEN: `127.0.0.1:${httpPort}`,
      RUNEGATE_BASE_URL: origin,
      ...options,
    },
  });
  return Object.assign(stage, { port, origin, httpPort });
}

describe("certificates in files", () => {
  test.each([1, 2])("with %d processes: sign in, and see what the application is told", async (workers) => {
    const folder = folderOf();
    writePair(folder, "localhost");
    await using stage = await openSecure(
      { RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder, RUNEGATE_SECURE_COOKIE: "true" },
      { workers },
    );
    const cookie = await signIn(stage, stage.origin);
    expect(cookie).toContain("Secure");
    const headers = {
      Cookie: cookie.split(";")[0] ?? "",
      "X-Forwarded-For": "198.51.100.9",
      "X-Forwarded-Proto": "http",
    };
    const answer = await ask(stage.origin, "/headers", { headers });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("strict-transport-security")).toBe("max-age=31536000");
    // Nobody is in front, so nobody is believed.
    const seen = await ask(stage.origin, "/_runegate/debug", { headers });
    expect([200, 404]).toContain(seen.status);
    expect((await stage.command("health")).output).toContain("ready");
  });

  test.skipIf(curl === undefined)("HTTP/2, and HTTP/1.1 where it is off", async () => {
    const folder = folderOf();
    writePair(folder, "localhost");
    const options = { RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder };
    for (const [http2, version] of [
      ["true", "2"],
      ["false", "1.1"],
    ] as const) {
      await using stage = await openSecure({ ...options, RUNEGATE_HTTP2: http2 });
      const command = ["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
      const ran = startProcess([...command, `${stage.origin}/_runegate/health`], {}, folder);
      await ran.exited;
      expect(ran.output()).toBe(`${version} 200`);
    }
  });

  test("each name has its own certificate, whatever its case, and all others the first", async () => {
    const folder = folderOf();
    for (const name of ["a.example.org", "b.example.org"]) writePair(folder, name, { addresses: [] });
    mkdirSync(join(folder, "certbot"));
    const { cert, key } = makeCertificate({ names: ["*.example.net"], addresses: [] });
    writeFileSync(join(folder, "certbot", "fullchain.pem"), cert);
    writeFileSync(join(folder, "certbot", "privkey.pem"), key, { mode: 0o600 });
    await using stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
    const names: [string | undefined, string][] = [
      ["a.example.org", "DNS:a.example.org"],
      ["b.example.org", "DNS:b.example.org"],
      ["B.EXAMPLE.ORG", "DNS:b.example.org"],
      ["b.example.org.", "DNS:b.example.org"],
      ["x.example.net", "DNS:*.example.net"],
      ["x.y.example.net", "DNS:a.example.org"],
      ["elsewhere.test", "DNS:a.example.org"],
      [undefined, "DNS:a.example.org"],
    ];
    for (const [name, expected] of names)
      expect([name, (await shown(stage.port, name)).names]).toEqual([name, expected]);
    expect((await shown(stage.port, "a.example.org")).protocol).toBe("TLSv1.3");
  });

  test("what cannot be read at a change leaves what there is, and says why", async () => {
    const folder = folderOf();
    writePair(folder, "localhost");
    await using stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
    writeFileSync(join(folder, "localhost.crt"), "-----BEGIN");
    stage.main.signal("SIGHUP");
    await stage.says(/ERROR[^\n]*localhost\.crt: the certificate cannot be read/);
    expect((await ask(stage.origin, "/_runegate/health")).status).toBe(200);
  });

  test.each<[string, (folder: string) => Record<string, string>, RegExp]>([
    ["no certificate is named", () => ({}), /RUNEGATE_TLS_CERT/],
    ["a folder without any", (folder) => ({ RUNEGATE_TLS_CERT: folder }), /has no NAME\.crt/],
    [
      "a key that others can read",
      (folder) => {
        writePair(folder, "localhost");
        chmodSync(join(folder, "localhost.key"), 0o644);
        return { RUNEGATE_TLS_CERT: folder };
      },
      /localhost\.key holds a secret, and other users can read it \(mode 0644\)\. Run: chmod 600/,
    ],
    [
      "the key of another",
      (folder) => {
        writePair(folder, "localhost");
        writePair(folder, "other.test");
        cpSync(join(folder, "other.test.key"), join(folder, "localhost.key"));
        return {
          RUNEGATE_TLS_CERT: join(folder, "localhost.crt"),
          RUNEGATE_TLS_KEY: join(folder, "localhost.key"),
        };
      },
      /localhost\.crt: the key is not that of the certificate/,
    ],
    [
      "a file that is not there",
      (folder) => ({ RUNEGATE_TLS_CERT: join(folder, "x.crt"), RUNEGATE_TLS_KEY: join(folder, "x.key") }),
      /x\.crt is not there/,
    ],
  ])("%s: it does not start, and says why", async (_, prepare, words) => {
    const folder = folderOf();
    const env = {
      RUNEGATE_TLS: "files",
      RUNEGATE_BASE_URL: "https://localhost:8443",
      RUNEGATE_LISTEN: `127.0.0.1:${freePort()}`,
      RUNEGATE_HTTP_LISTEN: "off",
      RUNEGATE_ALLOW_ANY_EMAIL: "true",
      RUNEGATE_CONTROL_SOCKET: join(folder, "control.sock"),
      ...prepare(folder),
    };
    const ran = startProcess(runegate("serve"), env, folder);
    expect(await ran.exited).toBe(EXIT.config);
    expect(ran.output()).toMatch(words);
    expect(ran.output()).not.toContain("PRIVATE KEY");
  });
});

describe.skipIf(openssl === undefined)("what a client may speak, with a key of RSA", () => {
  const folder = mkdtempSync(join(tmpdir(), "runegate-tls-"));
  let stage: Secure;
  beforeAll(async () => {
    writePair(folder, "localhost", { rsa: true });
    stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
  });
  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  /** What OpenSSL says of a connection. @param typed to its client, which takes `Q` and `R` */
  async function said(args: readonly string[], typed = "Q\n"): Promise<string> {
    const client = Bun.spawn(["openssl", "s_client", "-connect", `127.0.0.1:${stage.port}`, ...args], {
      ...{ stdin: new Blob([typed]), stdout: "pipe", stderr: "pipe" },
    });
    const [out, err] = await Promise.all([client.stdout.text(), client.stderr.text()]);
    return out + err;
  }
  const weakest = (version: string, ciphers: string) => [version, "-cipher", `${ciphers}:@SECLEVEL=0`];

  test.each<[string, string[], RegExp]>([
    ["TLS 1.3", ["-tls1_3"], /New, TLSv1\.3, Cipher is TLS_/],
    ["TLS 1.2", ["-tls1_2"], /New, TLSv1\.2, Cipher is ECDHE-RSA-/],
    ["HTTP/2", ["-alpn", "h2,http/1.1"], /ALPN protocol: h2/],
    ["HTTP/1.1", ["-alpn", "http/1.1"], /ALPN protocol: http\/1\.1/],
    ["no compression", ["-tls1_2", "-comp"], /Compression: NONE/],
  ])("%s", async (_, args, words) => {
    for (const name of [[], ["-servername", "localhost"]])
      expect(await said([...args, ...name])).toMatch(words);
  });

  // The alert is the server's, so it is not the client that cannot.
  test.each<[string, string[], RegExp]>([
    ["TLS 1.0", weakest("-tls1", "ALL"), /alert protocol version/],
    ["TLS 1.1", weakest("-tls1_1", "ALL"), /alert protocol version/],
    ["no key at all", weakest("-tls1_2", "aNULL"), /alert handshake failure/],
    ["no encryption", weakest("-tls1_2", "eNULL"), /alert handshake failure/],
    ["no forward secrecy", weakest("-tls1_2", "kRSA"), /alert handshake failure/],
    ["CBC", weakest("-tls1_2", "ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA384"), /alert handshake failure/],
    ["an odd cipher", weakest("-tls1_2", "CAMELLIA:ARIA:SEED:IDEA"), /alert handshake failure/],
    ["finite fields", weakest("-tls1_2", "DHE"), /alert handshake failure/],
  ])("refused: %s", async (_, args, words) => {
    for (const name of [[], ["-servername", "localhost"]]) {
      const output = await said([...args, ...name]);
      expect(output).toMatch(words);
      expect(output).toContain("Cipher is (NONE)");
    }
  });

  test("refused: another handshake on the same connection", async () => {
    expect(await said(["-tls1_2"], "R\n")).toMatch(/RENEGOTIATING[\s\S]*alert no renegotiation/);
  });
});

test("of its own, for development: an authority that stays, and certificates that it signs for every host", async () => {
  const folder = folderOf();
  const options = { RUNEGATE_TLS: "self-signed", RUNEGATE_TLS_DIRECTORY: folder };
  let authority = "";
  for (let start = 0; start < 2; start++) {
    await using stage = await openSecure(options);
    const ca = readFileSync(join(folder, "authority.pem"), "utf8");
    if (start > 0) expect(ca).toBe(authority);
    authority = ca;
    // Whoever trusts the authority trusts it, and nobody else.
    const answer = await fetch(`${stage.origin}/_runegate/health`, { tls: { ca }, keepalive: false });
    expect(answer.status).toBe(200);
    expect(fetch(`${stage.origin}/_runegate/health`, { keepalive: false })).rejects.toThrow();
    if (curl === undefined) continue;
    const command = [
      "curl",
      "-s",
      "--cacert",
      join(folder, "authority.pem"),
      `${stage.origin}/_runegate/health`,
    ];
    const ran = startProcess(command, {}, folder);
    expect(await ran.exited).toBe(0);
  }
});

test("`runegate certificates` where others keep them, and where whatever is in front has them", async () => {
  const folder = folderOf();
  writePair(folder, "localhost", { notAfter: new Date(Date.now() - 1000) });
  await using stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
  const { code, output } = await stage.command("certificates");
  expect(code).toBe(EXIT.failed);
  expect(output).toMatch(/localhost +20\d\d-\S+ \S+ +Runegate test +(has expired|no browser knows)/);
  expect(await stage.command("certificates", "renew")).toEqual({
    code: EXIT.failed,
    output: "RUNEGATE_TLS is files: nothing is ordered.\n",
  });
  await using plain = await openStage();
  expect(await plain.command("certificates")).toEqual({
    code: EXIT.failed,
    output: "RUNEGATE_TLS is off: whatever is in front has the certificates.\n",
  });
});

test.each([undefined, "acme.example.test"])(
  "one application without routes.toml is there by the base URL's host, and by no other (TLS by the name %p)",
  async (servername) => {
    const folder = folderOf();
    writePair(folder, "localhost");
    await using stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
    const [cookie = ""] = (await signIn(stage, stage.origin)).split(";");
    const tls = {
      rejectUnauthorized: false,
      ...(servername === undefined ? {} : { serverName: servername }),
    };
    const statusOf = async (host: string, path: string) =>
      (await ask(stage.origin, path, { tls, headers: { Host: host, Cookie: cookie } })).status;
    const own = new URL(stage.origin).host;
    for (const host of [own, `LOCALHOST:${stage.port}`, `localhost.:${stage.port}`])
      expect([host, await statusOf(host, "/")]).toEqual([host, 200]);
    const others = ["evil.test", "localhost", `127.0.0.1:${stage.port}`, `localhost:${stage.port + 1}`];
    for (const host of others) {
      for (const path of ["/", "/_runegate/login", "/_runegate/auth?token=x"])
        expect([host, path, await statusOf(host, path)]).toEqual([host, path, 421]);
      expect(await statusOf(host, "/_runegate/health")).toBe(200);
    }
    const led = await fetch(`http://127.0.0.1:${stage.httpPort}/`, {
      ...{ redirect: "manual", headers: { Host: "evil.test" }, keepalive: false },
    });
    expect(led.status).toBe(421);
  },
);

test("plain http leads to https on hosts of ours, and nowhere else", async () => {
  const folder = folderOf();
  writePair(folder, "localhost");
  await using stage = await openSecure({ RUNEGATE_TLS: "files", RUNEGATE_TLS_CERT: folder });
  const plain = (path: string, headers: Record<string, string> = {}, method = "GET") =>
    fetch(`http://127.0.0.1:${stage.httpPort}${path}`, {
      method,
      redirect: "manual",
      headers,
      keepalive: false,
    });
  const led = await plain("/a%2Fb?x=1", { Host: "localhost" });
  expect([led.status, led.headers.get("location")]).toEqual([308, `${stage.origin}/a%2Fb?x=1`]);
  expect((await plain("/", { Host: `localhost:${stage.httpPort}` }, "POST")).status).toBe(308);
  expect((await plain("//evil.test/", { Host: "localhost" })).headers.get("location")).toStartWith(
    `${stage.origin}/`,
  );
  expect((await plain("/", { Host: "a b" })).status).toBe(400);
  // http on the port of https is no answer.
  expect(fetch(`http://127.0.0.1:${stage.port}/`, { keepalive: false })).rejects.toThrow();
});
