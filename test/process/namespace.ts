import { expect, test } from "bun:test";

/**
 * A network namespace of one's own (network_namespaces(7)), with loopback alone and the setting that an installation has:
 * what waits at a socket that closes goes to the other sockets of its port (`net.ipv4.tcp_migrate_req`, Linux 5.14).
 */
const PREPARE = "ip link set lo up && echo 1 > /proc/sys/net/ipv4/tcp_migrate_req";
const UNSHARE = ["unshare", "--map-root-user", "--net", "sh", "-c"] as const;
/** As `npm run test:system` has it: what bunfig.toml leaves out is left out of files that are named too. */
const AS_SYSTEM = "--path-ignore-patterns '**/!(*.system).test.ts'";
const MARK = "RUNEGATE_TEST_NAMESPACE";

function canMake(): boolean {
  try {
    return Bun.spawnSync([...UNSHARE, PREPARE]).exitCode === 0;
  } catch {
    return false;
  }
}

/**
 * Runs the test file again in such a namespace, where `cases` are declared; outside of it they are one test, which shows
 * what they said.
 */
export function inNamespace(file: string, cases: () => void): void {
  if (process.env[MARK] !== undefined) {
    cases();
    return;
  }
  const possible = canMake();
  if (!possible) {
    const problem = "unshare and ip cannot make a network namespace here";
    if (process.env.CI) throw new Error(`${problem}, and in CI nothing is skipped.`);
    console.warn(`Skipped: ${problem}.`);
  }
  test.skipIf(!possible)(
    "in a network namespace whose kernel hands waiting connections on",
    async () => {
      const again = Bun.spawn(
        [...UNSHARE, `${PREPARE} && exec "$0" test ${AS_SYSTEM} "$1"`, process.execPath, file],
        {
          env: { ...process.env, [MARK]: "1" },
          stdout: "pipe",
          stderr: "pipe",
        },
      );
      const [code, out, err] = await Promise.all([again.exited, again.stdout.text(), again.stderr.text()]);
      expect(code === 0 ? "" : `${out}\n${err}`).toBe("");
      expect(err).toMatch(/ [1-9]\d* pass\b/);
      const measured = out.replace(/^bun test .*/m, "").trim();
      if (measured !== "") console.log(measured);
    },
    180_000,
  );
}
