import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

/** An executable of its own, so that one can be told from the other. */
export async function buildExecutable(commit: string, folder: string): Promise<void> {
  const child = Bun.spawn(["sh", join(ROOT, ".ci/build"), "--outdir", folder], {
    cwd: ROOT,
    env: { ...process.env, RUNEGATE_COMMIT: commit },
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(said.join(""));
}
