/** Where the source comes from, for the executable and the list of its parts to name. */
export type Origin = {
  /** Twelve digits of the commit, with `-modified` behind it when what is built is not what was committed. */
  readonly commit: string | undefined;
  /** When that was committed. */
  readonly date: Date | undefined;
};

/** What the build is made of. A change elsewhere does not make it another one. */
const BUILT_FROM = ["src", "static", "deploy", ".ci", "package.json", "bun.lock"];

/**
 * Asks git. `RUNEGATE_COMMIT` and `SOURCE_DATE_EPOCH` (seconds, as reproducible-builds.org has it) come first, for
 * a source tree without its history.
 */
export async function originOf(
  root: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Origin> {
  const seconds = env.SOURCE_DATE_EPOCH ?? (await git(root, "log", "-1", "--format=%ct"));
  const date = seconds === undefined ? undefined : new Date(Number(seconds) * 1000);
  if (env.RUNEGATE_COMMIT) return { commit: env.RUNEGATE_COMMIT, date };
  const head = await git(root, "rev-parse", "--short=12", "HEAD");
  if (head === undefined) return { commit: undefined, date };
  const changes = await git(root, "status", "--porcelain", "--", ...BUILT_FROM);
  return { commit: changes === "" ? head : `${head}-modified`, date };
}

async function git(root: string, ...args: string[]): Promise<string | undefined> {
  if (Bun.which("git") === null) return undefined;
  // A tree that belongs to another user, as in a container, is built all the same, and the bytes are not to depend on it.
  const child = Bun.spawn(["git", "-c", "safe.directory=*", "-C", root, ...args], {
    stdout: "pipe",
    stderr: "ignore",
  });
  const [said, code] = await Promise.all([child.stdout.text(), child.exited]);
  return code === 0 ? said.trim() : undefined;
}
