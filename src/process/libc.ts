import { dlopen, FFIType, ptr } from "bun:ffi";

/**
 * The few calls of the C library that Bun has nothing for. Where the library cannot be opened, as in a container without one,
 * each caller says what that means.
 */
export type Libc = ReturnType<typeof wrap>;

/** As the two C libraries of Linux name themselves. */
const NAMES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"] as const;

const SYMBOLS = {
  getsockopt: {
    args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.ptr],
    returns: FFIType.i32,
  },
  epoll_ctl: { args: [FFIType.i32, FFIType.i32, FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64,
  },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
} as const;

/** Constants of Linux on x64 and arm64. */
const AF_UNIX = 1;
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const EPOLL_CTL_MOD = 3;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const LOCK_EX_NB = 6;
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

function wrap(libc: ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"]) {
  return {
    /** Whether a descriptor is a socket that listens (getsockopt(2)). */
    isListening(fd: number): boolean {
      const flag = Buffer.alloc(4);
      const length = Buffer.alloc(4);
      length.writeUInt32LE(flag.length);
      const answered = libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, ptr(flag), ptr(length)) === 0;
      return answered && flag.readUInt32LE() !== 0;
    },

    /** Locks an open file or folder until it is closed (flock(2)). @returns false where another process has it. */
    lock(fd: number): boolean {
      return libc.flock(fd, LOCK_EX_NB) === 0;
    },

    /** Changes what is waited for on a descriptor (epoll_ctl(2), `EPOLL_CTL_MOD`). @returns whether it was done. */
    changeEvents(epoll: number, fd: number, events: number, data: bigint): boolean {
      // `struct epoll_event`, which is packed on x64 alone.
      const offset = process.arch === "x64" ? 4 : 8;
      const event = Buffer.alloc(offset + 8);
      event.writeUInt32LE(events, 0);
      event.writeBigUInt64LE(data, offset);
      return libc.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, ptr(event)) === 0;
    },

    /**
     * Sends one datagram to a unix socket (unix(7)).
     * @param waits until there is room for it, if there is none.
     * @returns whether it was sent.
     */
    sendUnixDatagram(path: string, message: string | Uint8Array, waits = true): boolean {
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
      const flags = MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT);
      const sent = libc.sendto(fd, ptr(bytes), bytes.length, flags, ptr(address), address.length);
      libc.close(fd);
      return Number(sent) === bytes.length;
    },
  };
}
