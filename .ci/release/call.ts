/**
 * Runs a program to its end.
 * @returns what it wrote to standard output, and nothing where that is the caller's own. @throws with what it said.
 */
export async function call(
  command: readonly string[],
  how: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    /** With the terminal of the caller, to ask and to say. */
    readonly open?: boolean;
  } = {},
): Promise<string> {
  const child = Bun.spawn([...command], {
    ...(how.cwd === undefined ? {} : { cwd: how.cwd }),
    env: { ...process.env, ...how.env },
    stdin: how.open ? "inherit" : "ignore",
    stdout: how.open ? "inherit" : "pipe",
    stderr: how.open ? "inherit" : "pipe",
  });
  const read = async (stream: ReadableStream | undefined) =>
    stream === undefined ? "" : new Response(stream).text();
  const [stdout, stderr, code] = await Promise.all([read(child.stdout), read(child.stderr), child.exited]);
  if (code !== 0)
    throw new Error(`${command[0]} ended with ${code}: ${(stderr + stdout).trim().slice(-2000)}`);
  return stdout;
}

/** @throws with what to do, if it is not there. */
export function program(name: string, remedy: string): string {
  const path = Bun.which(name);
  if (path === null) throw new Error(`${name} is not installed. ${remedy}`);
  return path;
}

/** Options of GNU tar for the same bytes from the same files. */
export function tarAlike(date: Date): string[] {
  const owner = ["--owner=0", "--group=0", "--numeric-owner"];
  return ["--format=ustar", "--sort=name", `--mtime=@${date.getTime() / 1000}`, ...owner];
}
