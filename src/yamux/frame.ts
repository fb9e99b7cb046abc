/**
 * Frames of yamux (github.com/hashicorp/yamux, spec.md): twelve bytes of header, all fields in network order, and behind a frame of
 * data as many bytes as it says.
 */

export const HEADER_BYTES = 12;

export const DATA = 0;
export const WINDOW_UPDATE = 1;
export const PING = 2;
export const GO_AWAY = 3;

export const SYN = 1;
export const ACK = 2;
export const FIN = 4;
export const RST = 8;

/** Codes of {@link GO_AWAY}. */
export const NORMAL = 0;
export const PROTOCOL_ERROR = 1;

export type Frame = {
  readonly type: number;
  readonly flags: number;
  /** 0 for the connection itself. */
  readonly id: number;
  /** Bytes that follow, bytes of window, what a ping is known by, or why the other end goes away. */
  readonly length: number;
};

/** What the other end sent is against the protocol: the connection is of no use any more. */
export class ProtocolError extends Error {}

/** A frame with what it carries, in one piece. */
export function writeFrame(
  { type, flags, id, length }: Frame,
  payload?: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + (payload?.byteLength ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint8(1, type);
  view.setUint16(2, flags);
  view.setUint32(4, id);
  view.setUint32(8, length);
  if (payload !== undefined) bytes.set(payload, HEADER_BYTES);
  return bytes;
}

/** @param bytes {@link HEADER_BYTES} of them. @throws {ProtocolError} */
export function readFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getUint8(0) !== 0) throw new ProtocolError("another version");
  const frame = {
    type: view.getUint8(1),
    flags: view.getUint16(2),
    id: view.getUint32(4),
    length: view.getUint32(8),
  };
  if (frame.type > GO_AWAY) throw new ProtocolError("an unknown type of frame");
  if ((frame.id === 0) !== frame.type >= PING) throw new ProtocolError("a frame for no such stream");
  return frame;
}

export type Reader = {
  /** Bytes as they come, cut anywhere. @throws what `frame` or `payload` throw, and {@link ProtocolError} */
  read(bytes: Uint8Array): void;
};

/**
 * Takes frames apart, and keeps no more of them than a header that has not come whole.
 * @param frame is called with every header, before what follows it.
 * @param payload is called with pieces of what follows the header of a frame of data.
 */
export function createReader(frame: (frame: Frame) => void, payload: (bytes: Uint8Array) => void): Reader {
  const head = new Uint8Array(HEADER_BYTES);
  let known = 0;
  let left = 0;
  return {
    read(bytes) {
      let at = 0;
      while (at < bytes.byteLength) {
        if (left > 0) {
          const piece = bytes.subarray(at, at + left);
          at += piece.byteLength;
          left -= piece.byteLength;
          payload(piece);
          continue;
        }
        const piece = bytes.subarray(at, at + HEADER_BYTES - known);
        head.set(piece, known);
        known += piece.byteLength;
        at += piece.byteLength;
        if (known < HEADER_BYTES) return;
        known = 0;
        const one = readFrame(head);
        frame(one);
        left = one.type === DATA ? one.length : 0;
      }
    },
  };
}
