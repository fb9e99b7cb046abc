/** The file in a form's body, read as it arrives (RFC 7578, RFC 2046 §5.1.1); no more than a chunk of it is held. */

/** The body is not the multipart form it says it is, or has no file. Answered as 400. */
export class MultipartError extends Error {
  readonly code = "malformed_form";
}

const MAX_PART_HEAD = 16 * 1024;

/** The boundary that a `multipart/form-data` content type names, or undefined for another type. */
export function formBoundary(contentType: string): string | undefined {
  const match = /^multipart\/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(
    contentType,
  );
  return match?.[1] ?? match?.[2];
}

export type FormReader = {
  /** Takes the next chunk of the body, cut anywhere. @throws {MultipartError} */
  push(chunk: Uint8Array): void;
  /** At the end of the body: the file's name as the browser gave it. @throws {MultipartError} */
  end(): string;
};

type State = "content" | "delimiter" | "head" | "done";

/** Hands the bytes of the form's first file to `onBytes` as they come, and skips everything else. */
export function createFormReader(boundary: string, onBytes: (bytes: Uint8Array) => void): FormReader {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // The line end belongs to the delimiter, but nothing need come before the first one.
  let held: Buffer = Buffer.from("\r\n");
  let state: State = "content";
  let inFile = false;
  let name: string | undefined;

  /** Each takes what it can from `held`, and is false when it needs more to go on. */
  const steps: Readonly<Record<State, () => boolean>> = {
    content() {
      const at = held.indexOf(delimiter);
      // Where no delimiter is seen whole, the tail may be the beginning of one.
      const end = at === -1 ? Math.max(0, held.length - delimiter.length + 1) : at;
      if (inFile && end > 0) onBytes(held.subarray(0, end));
      held = held.subarray(at === -1 ? end : end + delimiter.length);
      if (at === -1) return false;
      state = "delimiter";
      return true;
    },
    delimiter() {
      if (held.length < 2) return false;
      const mark = held.toString("latin1", 0, 2);
      if (mark !== "\r\n" && mark !== "--") throw new MultipartError("A delimiter in the form is malformed.");
      // The line end stays: with it, an empty head too is followed by an empty line.
      state = mark === "--" ? "done" : "head";
      return true;
    },
    head() {
      const end = held.indexOf("\r\n\r\n");
      if ((end === -1 ? held.length : end) > MAX_PART_HEAD) {
        throw new MultipartError("The head of a part of the form is too long.");
      }
      if (end === -1) return false;
      const file = fileName(held.toString("utf8", 0, end));
      inFile = file !== undefined && name === undefined;
      name ??= file;
      held = held.subarray(end + 4);
      state = "content";
      return true;
    },
    done() {
      held = Buffer.alloc(0);
      return false;
    },
  };

  return {
    push(chunk) {
      held = Buffer.concat([held, chunk]);
      while (steps[state]());
    },
    end() {
      if (state !== "done") throw new MultipartError("The form ends before its last delimiter.");
      if (name === undefined) throw new MultipartError("The form has no file. Choose one first.");
      return name;
    },
  };
}

/** The `filename` in a part's head. Browsers leave it empty when no file was chosen, and write %22 for a quote. */
function fileName(head: string): string | undefined {
  const disposition = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? "";
  const name = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1];
  return name === undefined || name === "" ? undefined : name.replaceAll("%22", '"');
}
