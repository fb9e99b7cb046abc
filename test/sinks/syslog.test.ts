import { afterEach, describe, expect, test } from "bun:test";
import { createServer, type Socket, type Server as TcpServer } from "node:net";
import { hostname } from "node:os";
import { createServer as createTlsServer } from "node:tls";
import { createLoggers } from "../../src/observe/log.ts";
import { sinkAddress } from "../../src/sinks/address.ts";
import { createSyslogFormat } from "../../src/sinks/syslog.ts";
import { createStreamSyslog, createUdpSyslog, createUnixSyslog } from "../../src/sinks/syslog-transports.ts";
import type { Transport } from "../../src/sinks/transport.ts";
import { VERSION } from "../../src/version.ts";
import { makeCertificate } from "../support/certificate.ts";
import { line, until } from "./support.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const HEAD =
  /^<(\d+)>1 (\S+) (\S+) runegate (\d+) (\S+) (\[origin [^\]]*\]\[meta sequenceId="(\d+)"\]) (.*)$/s;

function parsed(message: string) {
  const [, priority, time, host, pid, id, data, sequence, text = ""] = HEAD.exec(message) ?? [message];
  return { priority, time, host, pid, id, data, sequence, text };
}

describe("a line as RFC 5424", () => {
  const log = createSyslogFormat("log", 8_000);
  const audit = createSyslogFormat("audit", 8_000);

  test("has every part of the head, and the JSON as its text", () => {
    const text = line("GET / 200");
    expect(parsed(createSyslogFormat("log", 8_000)(text).toString())).toEqual({
      priority: `${16 * 8 + 6}`,
      time: "2026-01-02T03:04:05.678Z",
      host: hostname(),
      pid: `${process.pid}`,
      id: "http",
      data: `[origin software="runegate" swVersion="${VERSION}"][meta sequenceId="1"]`,
      sequence: "1",
      text,
    });
  });

  test.each([
    ["error", 3],
    ["warn", 4],
    ["info", 6],
    ["debug", 7],
    ["trace", 7],
  ])("%s is severity %d of local0, and of authpriv in the audit", (level, severity) => {
    const text = line("x", { level });
    expect(parsed(log(text).toString()).priority).toBe(`${16 * 8 + severity}`);
    expect(parsed(audit(text).toString()).priority).toBe(`${10 * 8 + severity}`);
  });

  test("an event of the audit is the id of its message", () => {
    expect(parsed(audit(line("audit", { module: "audit", event: "redeemed" })).toString()).id).toBe(
      "redeemed",
    );
    expect(parsed(log(line("x", { event: "redeemed" })).toString()).id).toBe("http");
    expect(parsed(log(line("x", { module: "a b]\u00e9".repeat(20) })).toString()).id).toBe(
      "ab]".repeat(11).slice(0, 32),
    );
  });

  test("is numbered, so that a gap shows", () => {
    const format = createSyslogFormat("log", 8_000);
    expect([1, 2, 3].map(() => parsed(format(line("x")).toString()).sequence)).toEqual(["1", "2", "3"]);
  });

  test("H11 text with newlines, NUL, ], half a pair and escapes is one frame on one line", () => {
    const written: string[] = [];
    const loggers = createLoggers({
      format: "console",
      levels: { default: "info", modules: {} },
      write() {},
      now: () => 0,
      color: false,
      copies: { log: (one) => written.push(one) },
    });
    const evil = `a\n<34>1 2026-01-01T00:00:00Z h su - - - root\r\0]"\\ \ud800 \u2028 \u0085 \x1b[31m \u202e`;
    loggers("http").info(evil, { [evil]: evil });
    const message = log(written[0] ?? "");
    expect(message.toString()).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u202e]/);
    expect(Buffer.from(message.toString()).equals(message)).toBe(true);
    expect(JSON.parse(parsed(message.toString()).text)).toMatchObject({
      message: evil,
    });
  });

  test.each([1_400, 1_401, 1_402, 8_000])(
    "longer than %d bytes is cut between characters, and says so",
    (most) => {
      const message = createSyslogFormat("log", most)(line("\u20ac".repeat(5_000)));
      expect(message.length).toBeLessThanOrEqual(most);
      expect(message.length).toBeGreaterThan(most - 4);
      expect(Buffer.from(message.toString()).equals(message)).toBe(true);
      expect(message.toString()).toEndWith("\u20ac\u2026[cut]");
    },
  );
});

/** A server that reads frames of RFC 6587 §3.4.1. */
async function startServer(tls?: { key: string; cert: string }) {
  let received = Buffer.alloc(0);
  const sockets = new Set<Socket>();
  const take = (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => {
      received = Buffer.concat([received, data]);
    });
  };
  const server: TcpServer = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  closing.push(() => {
    cut();
    server.close();
  });
  return {
    port: typeof address === "object" ? address?.port : undefined,
    cut,
    connections: () => sockets.size,
    frames(): string[] {
      const found: string[] = [];
      for (let at = 0; at < received.length; ) {
        const blank = received.indexOf(" ", at);
        const length = Number(received.subarray(at, blank).toString());
        if (blank < 0 || blank + 1 + length > received.length) break;
        found.push(received.subarray(blank + 1, blank + 1 + length).toString());
        at = blank + 1 + length;
      }
      return found;
    },
  };
}

function stream(url: string): Transport {
  const address = sinkAddress(url);
  if (address.kind !== "syslog-tcp" && address.kind !== "syslog-tls") throw new Error("not a stream");
  const made = createStreamSyslog(address, "log");
  closing.push(() => made.close());
  return made;
}
const soon = () => AbortSignal.timeout(5_000);

describe("syslog over TCP", () => {
  test("is messages after their length, in bytes, on one connection", async () => {
    const server = await startServer();
    const one = stream(`syslog+tcp://127.0.0.1:${server.port}`);
    const lines = [line("one"), line("zw\u00f6lf \u20ac"), line("three")];
    await one.send(lines.slice(0, 2), soon());
    await one.send(lines.slice(2), soon());
    await until(() => server.frames().length === 3);
    expect(server.frames().map((frame) => parsed(frame).text)).toEqual(lines);
    expect(server.connections()).toBe(1);
  });

  test("connects again where the connection was cut", async () => {
    const server = await startServer();
    const one = stream(`syslog+tcp://127.0.0.1:${server.port}`);
    await one.send([line("one")], soon());
    await until(() => server.frames().length === 1);
    server.cut();
    await until(async () => {
      await one.send([line("two")], soon()).catch(() => {});
      return server.frames().length > 1;
    });
  });

  test("fails where nobody listens", async () => {
    const server = await startServer();
    for (const close of closing.splice(0)) await close();
    await expect(stream(`syslog+tcp://127.0.0.1:${server.port}`).send([line("x")], soon())).rejects.toThrow();
  });

  test("is given up when it takes too long, with a peer that never reads", async () => {
    const deaf = createServer((socket) => socket.pause().on("error", () => {}));
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const address = deaf.address();
    const one = stream(`syslog+tcp://127.0.0.1:${typeof address === "object" && address?.port}`);
    closing.push(() => deaf.close());
    const much = Array.from({ length: 500 }, () => line("x".repeat(7_000)));
    const controller = new AbortController();
    const filled = (async () => {
      for (let n = 0; n < 20; n++) await one.send(much, controller.signal);
    })();
    setTimeout(() => controller.abort(new Error("late")), 500);
    await expect(filled).rejects.toThrow("late");
  });
});

describe("syslog over TLS", () => {
  test("is refused where nobody trusts the certificate", async () => {
    const server = await startServer(makeCertificate({ names: ["localhost"] }));
    await expect(stream(`syslog+tls://localhost:${server.port}`).send([line("x")], soon())).rejects.toThrow(
      /self.signed|unable to verify/i,
    );
    expect(server.frames()).toEqual([]);
  });
});

describe("syslog over UDP", () => {
  test("is one message a datagram, at most 1,400 bytes", async () => {
    const received: Buffer[] = [];
    const server = await Bun.udpSocket({
      hostname: "127.0.0.1",
      socket: { data: (_, data) => void received.push(Buffer.from(data)) },
    });
    closing.push(() => server.close());
    const address = sinkAddress(`syslog+udp://127.0.0.1:${server.port}`);
    if (address.kind !== "syslog-udp") throw new Error("not UDP");
    await createUdpSyslog(address, "audit").send([line("one"), line("x".repeat(3_000))], soon());
    await until(() => received.length === 2);
    expect(parsed(String(received[0])).text).toBe(line("one"));
    expect(received[1]?.length).toBe(1_400);
  });

  test("fails where the name is of nobody", async () => {
    const address = sinkAddress("syslog+udp://nobody.invalid");
    if (address.kind !== "syslog-udp") throw new Error("not UDP");
    await expect(createUdpSyslog(address, "log").send([line("x")], soon())).rejects.toThrow();
  });
});

describe("syslog by a unix socket", () => {
  test("waits for a daemon that is behind, and gives up after a while", async () => {
    let taken = 0;
    let asked = 0;
    const one = createUnixSyslog("/dev/log", "log", {
      // Every other time there is no room.
      sendDatagram: () => ++asked % 2 === 0 && ++taken > 0,
      pause: async () => {},
    });
    await one.send([line("one"), line("two")], soon());
    expect(taken).toBe(2);
    const none = createUnixSyslog("/dev/log", "log", { sendDatagram: () => false, pause: async () => {} });
    await expect(none.send([line("x")], soon())).rejects.toThrow("nobody takes messages at /dev/log");
  });
});
