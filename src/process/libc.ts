import { dlopen, FFIType, ptr } from "bun:ffi";

/**
 * The few calls of the C library that Bun has nothing for. Where the library cannot be opened, as in a container without
 * one, everything works without them, less well: each caller says how.
 */
export type Libc = {
  /** setsockopt(2). @returns whether it was done. */
  setSocketOption(fd: number, level: number, option: number, value: Uint8Array): boolean;
  /** The TCP port on which a socket listens (getsockopt(2), getsockname(2)); undefined for whatever else is open there. */
  listeningPort(fd: number): number | undefined;
  /** Sends one datagram to a unix socket (unix(7)). @returns whether it was sent. */
  sendUnixDatagram(path: string, message: string): boolean;
  /** The address of a buffer, for a structure that points at it. The buffer must be kept as long. */
  addressOf(buffer: Uint8Array): bigint;
};

/** As the two C libraries of Linux name themselves. */
const NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;

const SYMBOLS = {
  setsockopt: {
    args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i32,
  },
  getsockopt: {
    args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i32,
  },
  getsockname: { args: [FFIType.i32, FFIType.ptr, FFIType.ptr], returns: FFIType.i32 },
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
} as const;

/** Constants of Linux on x64 and arm64. */
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_NOSIGNAL = 0x4000;
const LONGEST_UNIX_PATH = 108;
/** `struct sockaddr_storage` */
const LONGEST_ADDRESS = 128;

let opened: Libc | undefined | "never tried" = "never tried";

/** Opened when first asked for; undefined where there is none. */
export function openLibc(): Libc | undefined {
  if (opened === "never tried") opened = process.platform === "linux" ? tryToOpen() : undefined;
  return opened;
}

function tryToOpen(): Libc | undefined {
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
    setSocketOption: (fd, level, option, value) =>
      libc.setsockopt(fd, level, option, ptr(value), value.length) === 0,

    listeningPort(fd) {
      const flag = Buffer.alloc(4);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(flag.length);
      if (libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, ptr(flag), ptr(length)) !== 0) return undefined;
      if (flag.readUInt32LE() === 0) return undefined;
      const address = Buffer.alloc(LONGEST_ADDRESS);
      length.writeUInt32LE(address.length);
      if (libc.getsockname(fd, ptr(address), ptr(length)) !== 0) return undefined;
      const family = address.readUInt16LE(0);
      return family === AF_INET || family === AF_INET6 ? address.readUInt16BE(2) : undefined;
    },

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

    addressOf: (buffer) => BigInt(ptr(buffer)),
  };
}
