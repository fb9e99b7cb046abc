import { readdirSync } from "node:fs";
import type { Libc } from "./libc.ts";

/**
 * Steering new connections among the processes that share a port.
 *
 * The kernel spreads connections over all sockets of the port, and what waits at a socket when it is closed is reset. So
 * before a worker closes its socket, new connections are steered to the others, and it answers what it has. The kernel does
 * that with a small program attached to the port (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)), which names a socket by its place in
 * the kernel's list. The list is not to be had from the kernel, but its rule is: a socket is added at the end when it
 * listens, and when one is closed the last takes its place (`reuseport_add_sock` and `__reuseport_detach_sock` in
 * net/core/sock_reuseport.c).
 */

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const SO_DETACH_REUSEPORT_BPF = 68;

/** The kernel's list of sockets of one port, by who holds them. */
export type Places<Holder> = {
  /** To be called in the order in which the sockets began to listen. */
  add(holder: Holder): void;
  remove(holder: Holder): void;
  /** Where new connections may go, so that none goes to the others. */
  placesOf(holders: Iterable<Holder>): number[];
  /**
   * The same, for the moment when `leaving` closes: without the place that is about to move, if there is another. The kernel
   * spreads over all sockets again when the program names a place that is no longer there.
   */
  placesWhile(leaving: Holder, holders: Iterable<Holder>): number[];
  /** For whoever knows better. */
  reset(list: readonly Holder[]): void;
  /** Says that the order is anybody's guess by now, as after two sockets closed at once. */
  lose(): void;
  /** Whether the list is as the kernel's is. A lost order is back when all but one are gone. */
  readonly isKnown: boolean;
  /** From the first place to the last. */
  readonly list: readonly Holder[];
};

export function createPlaces<Holder>(): Places<Holder> {
  const list: Holder[] = [];
  let isKnown = true;
  const placesOf = (holders: Iterable<Holder>) => {
    const wanted = new Set(holders);
    return list.flatMap((holder, place) => (wanted.has(holder) ? [place] : []));
  };
  return {
    add(holder) {
      list.push(holder);
    },
    remove(holder) {
      const place = list.indexOf(holder);
      if (place === -1) return;
      const last = list.pop();
      if (place < list.length && last !== undefined) list[place] = last;
      if (list.length <= 1) isKnown = true;
    },
    placesOf,
    placesWhile(leaving, holders) {
      const places = placesOf(holders);
      const last = list.length - 1;
      const staying = list[last] === leaving ? places : places.filter((place) => place !== last);
      return staying.length > 0 ? staying : places;
    },
    reset(next) {
      list.splice(0, list.length, ...next);
      isKnown = true;
    },
    lose() {
      isKnown = list.length <= 1;
    },
    get isKnown() {
      return isKnown;
    },
    list,
  };
}

/**
 * A classic BPF program (bpf(2), filter.txt of the kernel's documentation) that picks one of `places` at random: each
 * instruction is 8 bytes, code, two jump offsets, and a constant.
 */
export function steeringProgram(places: readonly number[]): Buffer {
  const LOAD_ANCILLARY = 0x20;
  const RANDOM = 0xfffff000 + 56;
  const MODULO = 0x94;
  const JUMP_IF_EQUAL = 0x15;
  const RETURN = 0x06;
  const instructions: [code: number, ifTrue: number, ifFalse: number, constant: number][] = [
    [LOAD_ANCILLARY, 0, 0, RANDOM],
    [MODULO, 0, 0, places.length],
    ...places.flatMap((place, i): [number, number, number, number][] => [
      [JUMP_IF_EQUAL, 0, 1, i],
      [RETURN, 0, 0, place],
    ]),
    // Never reached; the kernel wants a program to end in a return.
    [RETURN, 0, 0, places[0] ?? 0],
  ];
  const program = Buffer.alloc(instructions.length * 8);
  for (const [i, [code, ifTrue, ifFalse, constant]] of instructions.entries()) {
    program.writeUInt16LE(code, i * 8);
    program.writeUInt8(ifTrue, i * 8 + 2);
    program.writeUInt8(ifFalse, i * 8 + 3);
    program.writeUInt32LE(constant, i * 8 + 4);
  }
  return program;
}

/**
 * Attaches the program for `places` to the port of a socket, or with no places lets the kernel spread over all again.
 * @returns whether the kernel took it.
 */
export function steer(libc: Libc, socket: number, places: readonly number[] | "all"): boolean {
  if (places === "all") {
    return libc.setSocketOption(socket, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, Buffer.alloc(4));
  }
  if (places.length === 0) return false;
  const program = steeringProgram(places);
  // struct sock_fprog: a count of instructions, and after the padding a pointer to them.
  const descriptor = Buffer.alloc(16);
  descriptor.writeUInt16LE(program.length / 8, 0);
  descriptor.writeBigUInt64LE(libc.addressOf(program), 8);
  return libc.setSocketOption(socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, descriptor);
}

/** The descriptor of this process's socket that listens on `port`, which `Bun.serve` does not tell. */
export function findListeningSocket(libc: Libc, port: number): number | undefined {
  let descriptors: string[];
  try {
    descriptors = readdirSync("/proc/self/fd");
  } catch {
    return undefined;
  }
  return descriptors.map(Number).find((fd) => libc.listeningPort(fd) === port);
}
