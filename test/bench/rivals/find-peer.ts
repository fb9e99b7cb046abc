/** An executable of others, by the search path as it is now: `--peers` puts a directory before it, and Bun remembers the first. */
export function findPeer(name: string): string | null {
  return Bun.which(name, { PATH: process.env.PATH ?? "" });
}
