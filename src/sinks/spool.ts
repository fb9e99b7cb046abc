import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Clock, Random } from "../clock.ts";

/**
 * Batches of lines on disk, which wait for a sink that does not take them: one file each, written aside and renamed, so that a
 * file that is there is whole, whichever process wrote it and however that ended.
 */
export type Spool = ReturnType<typeof createSpool>;

const ENDING = ".jsonl";

/** @param limit bytes of all files together. */
export function createSpool(settings: {
  readonly directory: string;
  readonly limit: number;
  readonly clock: Clock;
  readonly random: Random;
}) {
  const { directory, limit, clock, random } = settings;
  /** Names of files, oldest first, looked for once and then again when they are done. */
  let known: string[] = [];
  /** Those that have been sent and could not be removed. */
  const sent = new Set<string>();
  let written = 0;
  let size: number | undefined;

  async function look(): Promise<void> {
    let names: string[] = [];
    try {
      names = await readdir(directory);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    }
    known = names.filter((name) => name.endsWith(ENDING) && !sent.has(name)).sort();
    const sizes = await Promise.all(
      known.map(async (name) => (await stat(join(directory, name)).catch(() => undefined))?.size),
    );
    size = sizes.reduce<number>((sum, one) => sum + (one ?? 0), 0);
  }

  return {
    /** @returns false where there is no room. @throws where it cannot be written. */
    async put(lines: readonly string[]): Promise<boolean> {
      if (size === undefined) await look();
      const bytes = Buffer.from(`${lines.join("\n")}\n`);
      if ((size ?? 0) + bytes.length > limit) return false;
      await mkdir(directory, { recursive: true, mode: 0o700 });
      // In the order in which they are written, and unlike those of another process that writes at the same time.
      const order = [clock.now(), written++].map((n) => String(n).padStart(15, "0"));
      const name = `${order.join("-")}-${Buffer.from(random.bytes(4)).toString("hex")}${ENDING}`;
      const path = join(directory, name);
      try {
        const file = await open(`${path}.new`, "wx", 0o600);
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(`${path}.new`, path);
      } catch (error) {
        await rm(`${path}.new`, { force: true });
        throw error;
      }
      known.push(name);
      size = (size ?? 0) + bytes.length;
      return true;
    },

    /** The batch that has waited longest. @throws where it cannot be read. */
    async oldest(): Promise<{ readonly lines: readonly string[]; done(): Promise<void> } | undefined> {
      if (known.length === 0) await look();
      for (let [name] = known; name !== undefined; [name] = known) {
        const path = join(directory, name);
        let text: string;
        try {
          text = await readFile(path, "utf8");
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
          // A process that this one takes over from has sent it.
          known.shift();
          continue;
        }
        const done = name;
        return {
          lines: text.split("\n").filter((line) => line !== ""),
          async done() {
            known.shift();
            sent.add(done);
            await rm(path, { force: true });
            sent.delete(done);
            size = Math.max(0, (size ?? 0) - Buffer.byteLength(text));
          },
        };
      }
      return undefined;
    },
  };
}
