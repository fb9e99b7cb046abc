import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, type RunningProcess, startProcess } from "../support/process.ts";
import { startLoad } from "./load.ts";
import { kill, openStage, until } from "./stage.ts";

/** One application on three servers that are killed, one after the other, under load: no request fails. */

// Processes are started here, on machines that may be busy.
setDefaultTimeout(120_000);

const directory = mkdtempSync(join(tmpdir(), "runegate-targets-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function startServer(port: number): Promise<RunningProcess> {
  const script = join(import.meta.dir, "mortal.ts");
  const server = startProcess([process.execPath, script, String(port)], {}, directory);
  started.push(server);
  await server.waitFor(/ready/);
  return server;
}

const started: RunningProcess[] = [];
afterAll(() => {
  for (const { pid } of started) kill(pid, "SIGKILL");
});

test.concurrent.each([
  ["round_robin", 1],
  ["sticky", 2],
] as const)(
  "%s, with %d processes: not one of the requests that are under way, or come meanwhile, fails",
  async (balance, workers) => {
    const ports = [freePort(), freePort(), freePort()];
    const servers = await Promise.all(ports.map(startServer));
    const file = join(directory, `${balance}-${workers}.toml`);
    const targets = ports.map((port) => `http://127.0.0.1:${port}`);
    writeFileSync(
      file,
      `[[routes]]
      name = "mortal"
      targets = ${JSON.stringify(targets)}
      balance = "${balance}"
      health = { interval = "1s", down_after = 2 }`,
      { mode: 0o600 },
    );
    const options = { RUNEGATE_TARGET_SERVICE: "", RUNEGATE_ROUTES: file };
    await using stage = await openStage({ workers, options });
    const cookies = await Promise.all([..."abcd"].map((name) => stage.signIn(`${name}@example.org`)));
    const loads = cookies.flatMap((cookie) =>
      (["kept", "fresh"] as const).map((connections) =>
        startLoad({
          ...stage,
          path: connections === "kept" ? "/slow" : "/x",
          cookie,
          connections,
          perSecond: 75,
          parallel: 6,
        }),
      ),
    );
    const answered = () => loads.reduce((sum, one) => sum + one.answered, 0);
    /** Some two seconds' worth: longer than a server that has failed is passed over. */
    const more = (count = 1_300) => {
      const goal = answered() + count;
      return until(`${count} more are answered`, () => answered() >= goal, 60_000);
    };
    for (const [at, port] of ports.entries()) {
      await more(300);
      kill(servers[at]?.pid ?? 0, "SIGKILL");
      await servers[at]?.exited;
      await more();
      servers[at] = await startServer(port);
    }
    await more(300);
    const results = await Promise.all(loads.map((load) => load.stop()));
    expect(results.flatMap(({ errors }) => errors)).toEqual([]);
  },
);
