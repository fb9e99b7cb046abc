import {
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SQL } from "bun";
import { makeCertificate } from "./certificate.ts";
import { skipBecause } from "./needs.ts";
import { freePort } from "./process.ts";
import type { ServerMachine } from "./valkey.ts";

/** A real PostgreSQL server on a port of its own, with its files in a folder of its own. */
export type PostgresServer = {
  readonly port: number;
  /** As the options give it to the store. */
  readonly url: string;
  /** The folder of its socket, and of its certificate with TLS. */
  readonly folder: string;
  /** One statement, as whoever may do everything. */
  run(statement: string): Promise<readonly Record<string, unknown>[]>;
  /** Every process of it stops answering, with every connection left open. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Stops it at once, as a power cut would, or, with `fast`, in order. */
  halt(how?: "immediate" | "fast"): Promise<void>;
  start(): Promise<void>;
  /** Makes a primary of a replica. */
  promote(): Promise<void>;
  stop(): Promise<void>;
};

/** Where Debian puts the programs of the server, or undefined to skip. */
export function postgresPrograms(): string | undefined {
  const root = "/usr/lib/postgresql";
  const [newest] = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : [];
  if (newest !== undefined && existsSync(`${root}/${newest}/bin/initdb`)) return `${root}/${newest}/bin`;
  const initdb = Bun.which("initdb");
  if (initdb !== null) return join(initdb, "..");
  skipBecause("postgresql is not installed");
  return undefined;
}

const USER = "runegate";

export type PostgresServerSettings = {
  /** Lines of its configuration. */
  readonly lines?: readonly string[];
  readonly tls?: boolean;
  readonly password?: string;
  /** Of which it is to be a replica that follows. */
  readonly primary?: PostgresServer;
  /** Where it runs, if not here. */
  readonly machine?: ServerMachine;
};

/** @param programs folder of `initdb` and `pg_ctl`. */
export async function startPostgres(
  programs: string,
  { lines = [], tls = false, password, primary, machine }: PostgresServerSettings = {},
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "runegate-postgres-"));
  const data = join(folder, "data");
  const { enter, address } = machine ?? { enter: [], address: "127.0.0.1" };
  const port = freePort();
  // It does not start as root.
  const isRoot = process.getuid?.() === 0;
  const uid = isRoot ? 65534 : (process.getuid?.() ?? 0);
  if (isRoot) chownSync(folder, uid, uid);

  async function program(...command: readonly string[]): Promise<void> {
    const as = isRoot ? ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"] : [];
    const [name = "", ...args] = command;
    const child = Bun.spawn([...enter, ...as, join(programs, name), ...args], {
      ...{ cwd: folder, stdin: "ignore", stdout: "ignore", stderr: Bun.file(join(folder, "err")) },
      env: { PATH: process.env.PATH ?? "", LC_ALL: "C.UTF-8", HOME: folder },
    });
    if ((await child.exited) !== 0) {
      const said = ["err", "log"].map((one) => join(folder, one)).filter(existsSync);
      throw new Error(`${name} failed:\n${said.map((one) => readFileSync(one, "utf8")).join("\n")}`);
    }
  }

  const own = (name: string, text: string, mode: number) => {
    writeFileSync(join(folder, name), text, { mode });
    if (isRoot) chownSync(join(folder, name), uid, uid);
  };
  if (password !== undefined) own("password", password, 0o600);
  const secret = password === undefined ? [] : [`--pwfile=${join(folder, "password")}`];
  const auth = password === undefined ? "trust" : "scram-sha-256";
  const at = primary && ["-h", "127.0.0.1", "-p", `${primary.port}`, "-U", USER];
  if (at === undefined)
    await program("initdb", "-D", data, "-U", USER, "-A", auth, "-E", "UTF8", "--no-sync", ...secret);
  else await program("pg_basebackup", "-D", data, ...at, "-R", "-X", "stream", "-c", "fast", "--no-sync");
  if (tls) {
    const { key, cert } = makeCertificate();
    own("key.pem", key, 0o600);
    own("cert.pem", cert, 0o644);
  }
  const settings = [
    `listen_addresses = '${address}'`,
    `port = ${port}`,
    `unix_socket_directories = '${folder}'`,
    "max_connections = 100",
    ...(tls
      ? ["ssl = on", `ssl_cert_file = '${folder}/cert.pem'`, `ssl_key_file = '${folder}/key.pem'`]
      : []),
    ...(primary === undefined
      ? []
      : [`primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=${USER}'`]),
    ...lines,
  ];
  if (machine !== undefined) {
    const rules = join(data, "pg_hba.conf");
    writeFileSync(rules, `${readFileSync(rules, "utf8")}\nhost all all samenet ${auth}\n`);
  }
  own("data/postgresql.auto.conf", `${settings.join("\n")}\n`, 0o600);

  const control = (...args: readonly string[]) =>
    program("pg_ctl", "-D", data, "-s", "-w", "-t", "30", ...args);
  const start = () => control("-l", join(folder, "log"), "start");
  await start();
  const database = `postgres://${USER}${password === undefined ? "" : `:${password}`}@${address}:${port}/postgres`;
  const url = tls ? `${database}?sslmode=verify-full&sslrootcert=${folder}/cert.pem` : database;

  async function run(statement: string): Promise<readonly Record<string, unknown>[]> {
    const sql = new SQL(database, { max: 1, idleTimeout: 5, tls: tls ? "require" : "disable" });
    try {
      return [...(await sql.unsafe(statement))];
    } finally {
      await sql.close();
    }
  }

  /** The server and a process for each connection. */
  function processes(): number[] {
    const [first = ""] = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    const children = Bun.spawnSync(["pgrep", "-P", first]).stdout.toString().split("\n");
    return [first, ...children].map(Number).filter((pid) => pid > 0);
  }
  const signal = async (name: "SIGSTOP" | "SIGCONT") => {
    for (const pid of processes()) process.kill(pid, name);
  };

  return {
    ...{ port, url, folder, run, start },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    promote: () => control("promote"),
    halt: (how = "immediate") => control("-m", how, "stop"),
    async stop() {
      await signal("SIGCONT").catch(() => {});
      await control("-m", "immediate", "stop").catch(() => {});
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
