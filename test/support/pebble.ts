import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "./certificate.ts";
import { good, made } from "./made.ts";
import { needs, skipBecause } from "./needs.ts";
import { freePort, type RunningProcess, startProcess } from "./process.ts";

/** Pebble, the test server of Let's Encrypt's authors (RFC 8555): it looks up every name at this machine. */

const VERSION = "v2.10.1";
const MODULE = "github.com/letsencrypt/pebble/v2/cmd";

export type Pebble = {
  /** The URL of its directory, and the file that its server is trusted by. */
  readonly directory: string;
  readonly ca: string;
  /** The root of what it gives, which is another at each start: PEM. */
  root(): Promise<string>;
  /** How many certificates it has given since it was started. */
  issued(): number;
  /** Where its names can be changed: of `pebble-challtestsrv`, to which `/set-txt` and `/clear-txt` are posted. */
  readonly names: string;
  /** Suggests when a certificate is to be renewed (RFC 9773), in JSON or in whatever a client must bear. @param cert PEM */
  suggestRenewal(cert: string, answer: string): Promise<void>;
  /** Names of the orders that it was sent. */
  output(): string;
  /** Ends it; `start` begins again on the same port, with nothing known. */
  stop(): Promise<void>;
  start(): Promise<void>;
} & AsyncDisposable;

/** @returns undefined to skip. */
export async function installPebble(): Promise<string | undefined> {
  const go = needs("go");
  if (go === undefined) return undefined;
  try {
    return await made(`pebble-${VERSION}`, async (GOBIN) => {
      const programs = ["pebble", "pebble-challtestsrv"].map((name) => `${MODULE}/${name}@${VERSION}`);
      await good([go, "install", ...programs], { GOBIN });
    });
  } catch (error) {
    skipBecause(`Pebble cannot be built (${error})`);
    return undefined;
  }
}

/**
 * @param programs as `installPebble` gives them.
 * @param httpPort where it comes to have a name proved.
 * @param accounts it takes no others (external account binding): keys by name, base64url.
 */
export async function startPebble(
  programs: string,
  {
    httpPort,
    accounts,
    refused = [],
  }: {
    readonly httpPort: number;
    readonly accounts?: Readonly<Record<string, string>>;
    readonly refused?: readonly string[];
  },
): Promise<Pebble> {
  const folder = mkdtempSync(join(tmpdir(), "runegate-pebble-"));
  const [port, management, dns, change] = [freePort(), freePort(), freePort(), freePort()];
  const { cert, key } = makeCertificate();
  const ca = join(folder, "server.pem");
  writeFileSync(ca, cert);
  writeFileSync(join(folder, "server.key"), key, { mode: 0o600 });
  const configuration = join(folder, "pebble.json");
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: ca,
    privateKey: join(folder, "server.key"),
    httpPort,
    tlsPort: 1,
    ocspResponderURL: "",
    externalAccountBindingRequired: accounts !== undefined,
    ...(accounts === undefined ? {} : { externalAccountMACKeys: accounts }),
    domainBlocklist: refused,
    retryAfter: { authz: 1, order: 1 },
    profiles: { default: { description: "as Let's Encrypt", validityPeriod: 90 * 24 * 60 * 60 } },
  };
  writeFileSync(configuration, JSON.stringify({ pebble }));
  const names = startProcess([
    join(programs, "pebble-challtestsrv"),
    ...["-dnsserver", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${change}`, "-defaultIPv6", ""],
    ...["-http01", "", "-https01", "", "-doh", "", "-tlsalpn01", ""],
  ]);
  let server: RunningProcess | undefined;
  const directory = `https://127.0.0.1:${port}/dir`;

  async function start(): Promise<void> {
    server = startProcess(
      [join(programs, "pebble"), "-config", configuration, "-dnsserver", `127.0.0.1:${dns}`],
      // It loses one nonce in five, as its manual advises.
      { PEBBLE_WFE_NONCEREJECT: "20", PEBBLE_VA_NOSLEEP: "1" },
    );
    await server.waitFor(/ACME directory available/);
    for (;;) {
      if (await fetch(directory, { tls: { ca: cert }, keepalive: false }).catch(() => undefined)) return;
    }
  }
  async function stop(): Promise<void> {
    server?.signal("SIGKILL");
    await server?.exited;
  }
  await start();

  return {
    directory,
    ca,
    names: `http://127.0.0.1:${change}`,
    async root() {
      const answer = await fetch(`https://127.0.0.1:${management}/roots/0`, {
        tls: { ca: cert },
        keepalive: false,
      });
      return answer.text();
    },
    async suggestRenewal(Certificate, ARIResponse) {
      const answer = await fetch(`https://127.0.0.1:${management}/set-renewal-info/`, {
        ...{ method: "POST", body: JSON.stringify({ Certificate, ARIResponse }) },
        ...{ tls: { ca: cert }, keepalive: false },
      });
      if (!answer.ok) throw new Error(await answer.text());
    },
    issued: () => (server?.output().match(/Issued certificate serial/g) ?? []).length,
    output: () => server?.output() ?? "",
    stop,
    start,
    async [Symbol.asyncDispose]() {
      await stop();
      names.signal("SIGKILL");
      await names.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
