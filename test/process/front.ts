import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { dial, type RawResponse, readResponse, requestHead, type Wire } from "../support/raw.ts";
import type { Stage } from "./stage.ts";

/** A connection to one worker, known by its process id: whatever is asked here is answered there. */
export type Front = {
  readonly worker: number;
  readonly wire: Wire;
  ask(line: string, fields?: readonly string[], body?: object): Promise<RawResponse>;
};

/** One connection to each worker. */
export async function frontOfEach(stage: Stage): Promise<Front[]> {
  const workers = stage.workers();
  const fronts = new Map<number, Front>();
  while (fronts.size < workers.length) {
    const wires = await Promise.all(Array.from({ length: 12 }, () => dial(stage.port)));
    // Answered once, they have been accepted, and so belong to a process.
    for (const wire of wires) {
      await wire.write(requestHead("GET /_runegate/health"));
      await readResponse(wire);
    }
    const sockets = serverSockets(stage.port);
    for (const wire of wires) {
      const socket = sockets.get(wire.socket.localPort ?? 0);
      const worker = workers.find((pid) => holds(pid, socket));
      if (worker === undefined || fronts.has(worker)) wire.destroy();
      else fronts.set(worker, front(worker, wire));
    }
  }
  return workers.map((pid) => fronts.get(pid)).filter((one) => one !== undefined);
}

function front(worker: number, wire: Wire): Front {
  return {
    worker,
    wire,
    async ask(line, fields = [], body) {
      const bytes = body === undefined ? "" : JSON.stringify(body);
      const about =
        body === undefined ? [] : ["Content-Type: application/json", `Content-Length: ${bytes.length}`];
      await wire.write(requestHead(line, [...fields, ...about]) + bytes);
      return readResponse(wire, line.split(" ", 1)[0]);
    },
  };
}

/** Inodes of the sockets that were accepted on a port, by the port at the other end (proc(5), /proc/net/tcp). */
function serverSockets(port: number): Map<number, string> {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return new Map(
    readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local]) => local?.endsWith(hex))
      .map(([, , remote = "", , , , , , , inode = ""]) => [
        Number.parseInt(remote.split(":")[1] ?? "", 16),
        inode,
      ]),
  );
}

function holds(pid: number, inode: string | undefined): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false;
    }
  });
}
