import { dlopen, FFIType, ptr } from "bun:ffi";
import { rmSync } from "node:fs";

/** The other end of `NOTIFY_SOCKET`, as systemd has it: a unix datagram socket, which Bun has none of. */
export type NotifySocket = {
  /** What has come, a datagram each, in order. */
  received(): readonly string[];
  close(): void;
};

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  bind: { args: [FFIType.i32, FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  recv: { args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i64 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
});

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 0o4002;

/** @param name a path, or `@` and an abstract name. */
export function openNotifySocket(name: string): NotifySocket {
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0);
  const abstract = name.startsWith("@");
  const path = Buffer.from(abstract ? `\0${name.slice(1)}` : `${name}\0`);
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), path]);
  if (libc.bind(fd, ptr(address), address.length) !== 0) throw new Error(`cannot bind ${name}`);
  const messages: string[] = [];
  const buffer = Buffer.alloc(65_536);
  return {
    received() {
      for (;;) {
        const length = Number(libc.recv(fd, ptr(buffer), buffer.length, 0));
        if (length <= 0) return messages;
        messages.push(buffer.toString("utf8", 0, length));
      }
    },
    close() {
      libc.close(fd);
      if (!abstract) rmSync(name, { force: true });
    },
  };
}
