import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

export const root = join(import.meta.dir, "../..");

export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs a command to its end, with nothing of Runegate's in its environment but what is given. */
export async function run(
  command: readonly string[],
  { cwd = root, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Outcome> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("RUNEGATE_"));
  const child = Bun.spawn([...command], {
    cwd,
    env: { ...Object.fromEntries(inherited), ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

/** `npm run build`, with the Bun that runs the tests. */
export function build(args: readonly string[], options: Parameters<typeof run>[1] = {}): Promise<Outcome> {
  return run([process.execPath, ".ci/executable/main.ts", ...args], options);
}

export type Folder = {
  readonly path: string;
  write(name: string, content: string): void;
} & Disposable;

export function folder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "runegate-build-"));
  return {
    path,
    write(name, content) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), content);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

export function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
