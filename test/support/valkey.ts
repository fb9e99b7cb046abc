import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RedisClient } from "bun";
import { makeCertificate } from "./certificate.ts";
import { freePort } from "./process.ts";

/** A real Valkey or Redis server on a port of its own, with its files in a folder of its own. */
export type ValkeyServer = {
  readonly port: number;
  /** As the options give it to the stores: `redis://…:port/0`, or `rediss://` with TLS. */
  readonly url: string;
  /** The certificate's file, with TLS. */
  readonly certificate: string;
  /** One command, as the operator who may do everything. */
  run(command: string, ...args: string[]): Promise<unknown>;
  /** Stops answering, with every connection left open. */
  pause(): void;
  resume(): void;
  /** `kill -9`. */
  kill(): Promise<void>;
  /** Starts it again, on the same port. Without its data. */
  start(): Promise<void>;
  stop(): Promise<void>;
};

export type ValkeyServerSettings = {
  /** Lines of its configuration. */
  readonly lines?: readonly string[];
  readonly tls?: boolean;
  /** User and password of the URL, as they stand there, and the one whom `run` goes as. */
  readonly userinfo?: string;
  readonly adminUserinfo?: string;
  /** False to leave it off at first. */
  readonly started?: boolean;
  /** Where it runs, if not here. */
  readonly machine?: ServerMachine;
};

/** Another network namespace: what runs a command there, and its address. */
export type ServerMachine = { readonly enter: readonly string[]; readonly address: string };

export async function startValkey(
  executable: string,
  {
    lines = [],
    tls = false,
    userinfo = "",
    adminUserinfo = userinfo,
    started = true,
    machine: { enter, address } = { enter: [], address: "127.0.0.1" },
  }: ValkeyServerSettings = {},
): Promise<ValkeyServer> {
  const folder = mkdtempSync(join(tmpdir(), "runegate-valkey-"));
  const port = freePort();
  const certificate = join(folder, "cert.pem");
  if (tls) {
    const { key, cert } = makeCertificate();
    writeFileSync(join(folder, "key.pem"), key, { mode: 0o600 });
    writeFileSync(certificate, cert);
  }
  const configuration = join(folder, "valkey.conf");
  writeFileSync(
    configuration,
    [
      `bind ${address}`,
      ...(tls
        ? [
            "port 0",
            `tls-port ${port}`,
            `tls-cert-file ${certificate}`,
            `tls-key-file ${join(folder, "key.pem")}`,
            "tls-auth-clients no",
          ]
        : [`port ${port}`]),
      `dir ${folder}`,
      `logfile ${join(folder, "log")}`,
      'save ""',
      ...lines,
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  const urlFor = (who: string) => `${tls ? "rediss" : "redis"}://${who && `${who}@`}${address}:${port}/0`;
  let child: Bun.Subprocess | undefined;
  let admin: RedisClient | undefined;

  async function start(): Promise<void> {
    child = Bun.spawn([...enter, executable, configuration], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    for (const patience = performance.now() + 10_000; ; await Bun.sleep(5)) {
      admin = new RedisClient(urlFor(adminUserinfo), {
        autoReconnect: false,
        ...(tls ? { tls: { ca: readFileSync(certificate, "utf8") } } : {}),
      });
      try {
        await admin.connect();
        return;
      } catch (error) {
        admin.close();
        if (performance.now() > patience || child.exitCode !== null) {
          throw new Error(`${executable} did not start:\n${readFileSync(join(folder, "log"), "utf8")}`, {
            cause: error,
          });
        }
      }
    }
  }

  async function kill(): Promise<void> {
    admin?.close();
    admin = undefined;
    child?.kill("SIGKILL");
    await child?.exited;
  }

  if (started) await start();
  return {
    port,
    url: urlFor(userinfo),
    certificate,
    async run(command, ...args) {
      if (admin === undefined) throw new Error("the server is not running");
      return admin.send(command, args);
    },
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
    kill,
    start,
    async stop() {
      // A stopped process dies of this signal all the same.
      await kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
