import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { probeTarget } from "../../src/commands/probe-target.ts";
import { targetAddress } from "../../src/net/endpoint.ts";
import { makeCertificate } from "../support/certificate.ts";
import { testMachine } from "../support/surroundings.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A server that accepts and says nothing; gives its port. */
async function silentServer(where: { port: number; host: string } | { path: string }): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("reaching the application", () => {
  test("over TCP", async () => {
    const origin = `http://127.0.0.1:${await silentServer({ port: 0, host: "127.0.0.1" })}`;
    expect(await probeTarget(targetAddress(origin), 5_000)).toEqual({
      ok: true,
      lines: [`${origin} accepts connections.`],
    });
  });
  test("over a unix socket", async () => {
    using machine = testMachine();
    const path = join(machine.directory, "app.sock");
    await silentServer({ path });
    expect((await probeTarget(targetAddress(`unix:${path}`), 5_000)).ok).toBe(true);
  });
  test("nothing listens", async () => {
    const port = await silentServer({ port: 0, host: "127.0.0.1" });
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const { ok, lines } = await probeTarget(targetAddress(`http://127.0.0.1:${port}`), 5_000);
    expect(ok).toBe(false);
    expect(lines[0]).toContain("nothing listens there");
    expect(lines[1]).toContain("RUNEGATE_TARGET_SERVICE");
  });
  test("no such socket", async () => {
    const { ok, lines } = await probeTarget(targetAddress("unix:/nowhere/app.sock"), 5_000);
    expect([ok, lines[0]]).toEqual([
      false,
      "unix:/nowhere/app.sock cannot be reached: there is no such socket.",
    ]);
  });
  test("a TLS handshake that is never answered", async () => {
    const origin = `https://127.0.0.1:${await silentServer({ port: 0, host: "127.0.0.1" })}`;
    const { ok, lines } = await probeTarget(targetAddress(origin), 50);
    expect([ok, lines[0]]).toEqual([false, `${origin} did not answer within 50ms.`]);
  });
  test("TLS with a certificate nobody vouches for", async () => {
    const { cert, key } = makeCertificate();
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      tls: { cert, key },
      fetch: () => new Response(),
    });
    const { ok, lines } = await probeTarget(targetAddress(`https://localhost:${server.port}`), 5_000);
    expect(ok).toBe(false);
    expect(lines[0]).toMatch(/cannot be reached: .*(certificate|self.signed)/i);
  });
});
