import { connect, createServer, type Socket } from "node:net";

/** A way to a server on this machine, that can be slow, and lead elsewhere from one moment to the next. */
export type Wire = {
  readonly port: number;
  /** How long each piece takes, one way, in milliseconds. */
  delayMs: number;
  /** Cuts every connection; new ones lead to that port. */
  leadTo(port: number): void;
  stop(): Promise<void>;
};

export async function openWire(port: number): Promise<Wire> {
  const sockets = new Set<Socket>();
  let target = port;
  const wire = { delayMs: 0 };

  function carry(from: Socket, to: Socket): void {
    sockets.add(from);
    // What was sent first arrives first, however the delay changes.
    let way = Promise.resolve();
    const after = (work: () => void) => {
      const arrives = performance.now() + wire.delayMs;
      way = way.then(async () => {
        const left = arrives - performance.now();
        if (left > 0) await Bun.sleep(left);
        work();
      });
    };
    from.on("data", (bytes: Buffer) => after(() => to.destroyed || to.write(bytes)));
    from.on("end", () => after(() => to.end()));
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  }

  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: "127.0.0.1", port: target, allowHalfOpen: true });
    carry(near, far);
    carry(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return Object.assign(wire, {
    port: address.port,
    leadTo(port: number) {
      target = port;
      cut();
    },
    async stop() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}
