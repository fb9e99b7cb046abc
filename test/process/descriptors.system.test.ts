import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { runegate } from "../support/process.ts";
import { dial, readResponse, requestHead } from "../support/raw.ts";
import { openStage, until } from "./stage.ts";

/** More connections than a process may have descriptors. */

setDefaultTimeout(40_000);

const LIMIT = 200;

/** Connections that ask nothing, and that nothing is heard of. */
async function silence(port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connect(port, "127.0.0.1"));
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  for (const socket of sockets) socket.on("error", () => {});
  return sockets;
}

/** Milliseconds of processor time that processes have used (proc(5), `/proc/pid/stat`). */
function used(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, one) => sum + one, 0) * 10;
}

describe.each([1, 2])("with %d serving, a flood of connections", (workers) => {
  test("takes no processor time, is told once, and is over when they leave", async () => {
    await using stage = await openStage({
      workers,
      command: ["sh", "-c", `ulimit -n ${LIMIT}; exec "$0" "$@"`, ...runegate("serve")],
    });
    const cookie = await stage.signIn();
    const flood = await silence(stage.port, (LIMIT + 60) * workers);
    await stage.says(/ too few descriptors: new connections wait until others end .*limit=200/);
    const serving = workers === 1 ? [stage.main.pid] : stage.workers();
    const before = used(serving);
    await Bun.sleep(2_000);
    // A process that accepts in vain takes most of them, on however busy a machine.
    expect(used(serving) - before).toBeLessThan(250);
    for (const socket of flood) socket.destroy();
    await until("new connections are served", async () => {
      try {
        const signal = AbortSignal.timeout(500);
        const response = await fetch(`${stage.url}/`, {
          headers: { Cookie: cookie },
          keepalive: false,
          signal,
        });
        return response.status === 200;
      } catch {
        return false;
      }
    });
    const told = stage.main.output().match(/too few descriptors/g)?.length ?? 0;
    expect(told).toBeGreaterThanOrEqual(1);
    expect(told).toBeLessThanOrEqual(workers);
  });
});

test("whoever is being served then still reaches the application", async () => {
  await using stage = await openStage({
    command: ["sh", "-c", `ulimit -n ${LIMIT}; exec "$0" "$@"`, ...runegate("serve")],
  });
  const head = requestHead("GET /", [`Cookie: ${await stage.signIn()}`]);
  const wires = await Promise.all(Array.from({ length: 10 }, () => dial(stage.port)));
  // Begun before the limit is reached, and done with after it: each needs a connection to the application.
  for (const wire of wires) await wire.write(head.slice(0, 20));
  const flood = await silence(stage.port, LIMIT + 60);
  await stage.says(/ too few descriptors/);
  for (const wire of wires) await wire.write(head.slice(20));
  const answers = await Promise.all(wires.map((wire) => readResponse(wire)));
  expect(answers.map(({ status }) => status)).toEqual(wires.map(() => 200));
  for (const socket of [...flood, ...wires.map(({ socket }) => socket)]) socket.destroy();
});
