import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PostgresServer } from "./postgres.ts";
import { freePort } from "./process.ts";

/** A PgBouncer in front of a server, that lends each transaction one of few connections. */
export async function startPgBouncer(
  executable: string,
  server: PostgresServer,
  ignored = "statement_timeout,idle_in_transaction_session_timeout",
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), "runegate-pgbouncer-"));
  const port = freePort();
  // It does not start as root.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(folder, 65534, 65534);
  const path = join(folder, "pgbouncer.ini");
  writeFileSync(
    path,
    [
      "[databases]",
      `postgres = host=127.0.0.1 port=${server.port} dbname=postgres user=runegate`,
      "[pgbouncer]",
      ...["listen_addr = 127.0.0.1", `listen_port = ${port}`, "unix_socket_dir ="],
      ...["auth_type = any", "pool_mode = transaction", "default_pool_size = 4"],
      ...(ignored === "" ? [] : [`ignore_startup_parameters = ${ignored}`]),
      "",
    ].join("\n"),
  );
  const as = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const child = Bun.spawn([...as, executable, path], { stdio: ["ignore", "ignore", "ignore"] });
  for (const patience = performance.now() + 10_000; ; await Bun.sleep(5)) {
    try {
      (await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } })).end();
      break;
    } catch (error) {
      if (performance.now() > patience || child.exitCode !== null)
        throw new Error(`${executable} did not start`, { cause: error });
    }
  }
  return {
    port,
    async stop() {
      child.kill();
      await child.exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
