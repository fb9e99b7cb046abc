import type { Io } from "../../src/process/io.ts";

/** An {@link Io} that keeps what is written to it. */
export type RecordedIo = Io & {
  /** Everything written to standard output, line by line as it was written. */
  readonly stdout: string[];
  readonly stderr: string[];
};

export function recordedIo(env: Io["env"] = {}): RecordedIo {
  const stdout: string[] = [];
  const stderr: string[] = [];
  return { out: (line) => stdout.push(line), err: (line) => stderr.push(line), env, stdout, stderr };
}
