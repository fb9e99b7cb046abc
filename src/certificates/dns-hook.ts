import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { messageOf } from "../observe/message-of.ts";
import { MINUTE, SECOND } from "../option/values.ts";
import { plainWords } from "./authority.ts";

/** A program of the operator's that writes TXT records: `HOOK present NAME VALUE`, and `HOOK cleanup NAME VALUE`. */

export type DnsHook = (verb: "present" | "cleanup", name: string, value: string) => Promise<void>;

const LIMIT_MS = MINUTE;
/** For what it has said when it ends. */
const MOMENT_MS = 1 * SECOND;
const MOST_WORDS = 2_000;
/** Writable by the group or by others (chmod(2)). */
const OPEN = 0o022;

/** @throws {Error} in words for the operator, for a program that cannot be run, or that others may have changed */
export function checkDnsHook(path: string): void {
  if (!isAbsolute(path)) throw new Error(`the hook needs a path from the root on, and not ${path}`);
  try {
    accessSync(path, constants.X_OK);
  } catch (error) {
    throw new Error(`the hook cannot be run: ${messageOf(error)}`);
  }
  const stat = statSync(path);
  if (!stat.isFile()) throw new Error(`the hook ${path} is no file`);
  const { uid } = stat;
  if (uid !== 0 && uid !== process.geteuid?.())
    throw new Error(
      `the hook ${path} can be changed by the user with number ${uid}. Run: chown root ${path}`,
    );
  if ((stat.mode & OPEN) !== 0)
    throw new Error(`the hook ${path} can be changed by other users. Run: chmod go-w ${path}`);
}

/**
 * Runs it without a shell, in a process group of its own that is killed when it takes longer than a minute.
 * @param env of this process: what is Runegate's own in it, its secrets above all, is kept back.
 * @returns rejects where it fails, with the end of what it said
 */
export function createDnsHook(
  path: string,
  env: Readonly<Record<string, string | undefined>>,
  limitMs = LIMIT_MS,
): DnsHook {
  const kept = Object.entries(env).filter(([name]) => !/^(?:RUNEGATE_|NOTIFY_SOCKET$|WATCHDOG_)/.test(name));
  return async (verb, name, value) => {
    const about = `the hook for DNS failed (${verb} ${name})`;
    let said = "";
    const over = new AbortController();
    const hear = (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      const heard = new WritableStream<string>({
        write(text) {
          said = (said + text).slice(-MOST_WORDS);
        },
      });
      return stream.pipeThrough(new TextDecoderStream()).pipeTo(heard, { signal: over.signal });
    };
    let child: Bun.Subprocess<"ignore", "pipe", "pipe">;
    try {
      checkDnsHook(path);
      child = Bun.spawn([path, verb, name, value], {
        ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe", cwd: "/", detached: true },
        env: Object.fromEntries(kept),
      });
    } catch (error) {
      throw new Error(`${about}: ${messageOf(error)}`);
    }
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      killGroup(child.pid);
    }, limitMs);
    const heard = Promise.allSettled([hear(child.stdout), hear(child.stderr)]);
    const code = await child.exited;
    clearTimeout(timer);
    // What it leaves behind may hold the pipes open for ever, and write all the time.
    await Promise.race([heard, Bun.sleep(MOMENT_MS)]);
    over.abort();
    if (code === 0) return;
    const how = isLate ? `it took more than ${limitMs / SECOND} seconds` : `it ended with ${code}`;
    throw new Error(`${about}: ${how}: ${plainWords(said.trim().slice(-400))}`);
  };
}

/** With whatever it has started. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch {
    // It has ended by itself, just now.
  }
}
