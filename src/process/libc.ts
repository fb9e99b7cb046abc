import { dlopen, FFIType, ptr } from "bun:ffi";

/**
 * The one call of the C library that Bun has nothing for. Where the library cannot be opened, as in a container without one,
 * the caller says what that means.
 */
export type Libc = {
  /** Sends one datagram to a unix socket (unix(7)). @returns whether it was sent. */
  sendUnixDatagram(path: string, message: string): boolean;
};

/** As the two C libraries of Linux name themselves. */
const NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;

const SYMBOLS = {
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
} as const;

/** Constants of Linux on x64 and arm64. */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_NOSIGNAL = 0x4000;
const LONGEST_UNIX_PATH = 108;

/** Undefined where there is no C library. */
export function openLibc(): Libc | undefined {
  if (process.platform !== "linux") return undefined;
  for (const name of NAMES) {
    try {
      return wrap(dlopen(name, SYMBOLS).symbols);
    } catch {
      // The other library, then.
    }
  }
  return undefined;
}

function wrap(libc: ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"]): Libc {
  return {
    sendUnixDatagram(path, message) {
      const name = Buffer.from(path);
      if (name.length === 0 || name.length >= LONGEST_UNIX_PATH) return false;
      // An `@` stands for the NUL byte of an abstract name, which has no end mark (sd_notify(3)).
      const abstract = path.startsWith("@");
      if (abstract) name[0] = 0;
      const address = Buffer.alloc(2 + name.length + (abstract ? 0 : 1));
      address.writeUInt16LE(AF_UNIX, 0);
      name.copy(address, 2);
      const fd = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
      if (fd < 0) return false;
      const bytes = Buffer.from(message);
      const sent = libc.sendto(fd, ptr(bytes), bytes.length, MSG_NOSIGNAL, ptr(address), address.length);
      libc.close(fd);
      return Number(sent) === bytes.length;
    },
  };
}
