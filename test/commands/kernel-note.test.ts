import { expect, test } from "bun:test";
import { kernelNote } from "../../src/commands/kernel-note.ts";

const TCP = { kind: "tcp", hostname: "127.0.0.1", port: 7870 } as const;
const SQLITE = { kind: "sqlite", path: "/var/lib/runegate/runegate.db" } as const;

test.each([
  ["0 means resets at an upgrade", "0\n", TCP, SQLITE, true],
  ["1 is what is wanted", "1\n", TCP, SQLITE, false],
  ["a kernel without the setting is not asked for it", undefined, TCP, SQLITE, false],
  ["the memory store is never handed over", "0\n", TCP, { kind: "memory" } as const, false],
  ["a unix socket is never handed over", "0\n", { kind: "unix", path: "/run/x" } as const, SQLITE, false],
])("the setting for an upgrade: %s", (_, value, listen, store, noted) => {
  const asked: string[] = [];
  const note = kernelNote({ listen, store }, (path) => {
    asked.push(path);
    if (value === undefined) throw new Error("ENOENT");
    return value;
  });
  expect(note?.includes("net.ipv4.tcp_migrate_req is 0") ?? false).toBe(noted);
  for (const path of asked) expect(path).toBe("/proc/sys/net/ipv4/tcp_migrate_req");
});
