/** What a connector and a gateway agree on besides yamux. */

/** The WebSocket's protocol: a later one that differs has another name. */
export const PROTOCOL = "runegate-tunnel-1";
/** Below the reserved prefix; the tunnel's name is the query's `name`. */
export const TUNNEL_PATH = "/tunnel";

/** Milliseconds between two heart-beats, and after how many without a word the other end is gone. */
export const BEAT_MS = 15_000;
export const DEAD_MS = 40_000;

/** Of one connection. */
export const MOST_STREAMS = 4_096;
/** Bytes that a WebSocket may have waiting before data waits in its streams. */
export const HIGH_WATER = 256 * 1024;

/** Bytes of a message. Ours have a frame each, and are shorter. */
export const MOST_MESSAGE = 64 * 1024;

/** A stream begins with what it is to reach: a byte for the length of its name, and the name. */
export function writeService(service: string): Uint8Array {
  const name = new TextEncoder().encode(service);
  return Uint8Array.of(name.byteLength, ...name);
}

/** @returns how many bytes the name took, with its length; undefined until it is whole. */
export function readService(
  bytes: Uint8Array,
): { readonly service: string; readonly took: number } | undefined {
  const took = 1 + (bytes[0] ?? 0);
  if (bytes.byteLength === 0 || bytes.byteLength < took) return undefined;
  return { service: new TextDecoder().decode(bytes.subarray(1, took)), took };
}
