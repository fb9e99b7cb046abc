import { existsSync } from "node:fs";
import { join } from "node:path";
import { RedisClient } from "bun";
import { freePort, type Listening, type Stage } from "./stage.ts";

/** The stores to compare, each empty and of its own. */
export type StoreChoice = {
  readonly name: "memory" | "SQLite" | "Valkey";
  /** As `RUNEGATE_STORE` says it. */
  readonly location: string;
  /** The server behind it, whose work counts too. */
  readonly server: Listening | undefined;
  /** Whether anything has been put into it: a gateway that keeps things elsewhere would be measured under a wrong name. */
  isUsed(): Promise<boolean>;
};

export type Stores = { readonly choices: readonly StoreChoice[]; readonly notes: readonly string[] };

/** @param name for the files, so that a stage can have several of each. */
export async function startStores(stage: Stage, name: string): Promise<Stores> {
  const file = join(stage.directory, `${name}.db`);
  const local: StoreChoice[] = [
    { name: "memory", location: "memory", server: undefined, isUsed: async () => true },
    {
      name: "SQLite",
      location: `sqlite:${file}`,
      server: undefined,
      isUsed: async () => existsSync(file),
    },
  ];
  const program = Bun.which("valkey-server") ?? Bun.which("redis-server");
  if (program === null) return { choices: local, notes: ["Neither valkey-server nor redis-server is here."] };
  const port = freePort();
  const command = [
    ...[program, "--bind", "127.0.0.1", "--port", String(port), "--dir", stage.directory],
    // Nothing on disk: what is measured is the store at the other end of a connection.
    ...["--save", "", "--appendonly", "no"],
  ];
  const server = { ...(await stage.start(`${name}-valkey`, command, port)), port };
  const valkey: StoreChoice = {
    name: "Valkey",
    location: `valkey://127.0.0.1:${port}/0`,
    server,
    async isUsed() {
      const client = new RedisClient(`redis://127.0.0.1:${port}/0`);
      const keys = Number(await client.send("DBSIZE", []));
      client.close();
      return keys > 0;
    },
  };
  const version = /v=(\S+)/.exec(Bun.spawnSync([program, "--version"]).stdout.toString())?.[1];
  const known = program.endsWith("valkey-server") ? "Valkey" : "Redis";
  return { choices: [...local, valkey], notes: [`In Valkey's place: ${known} ${version ?? ""}.`] };
}
