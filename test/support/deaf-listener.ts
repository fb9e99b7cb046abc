import { dial, type Wire } from "./raw.ts";

/**
 * A port where connecting neither succeeds nor fails, as at a machine that is off: of a process that is stopped while it listens.
 * Its queue fills up, and then the system answers nobody.
 */
export async function deafListener(): Promise<{ readonly port: number; stop(): void }> {
  const listen = `console.log(Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }).port)`;
  const child = Bun.spawn([process.execPath, "-e", listen], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  child.kill("SIGSTOP");
  const queued: Wire[] = [];
  const taken = async () => void queued.push(await dial(port));
  while (await Promise.race([taken().then(() => true), Bun.sleep(300)]));
  if (queued.length === 0) throw new Error("it takes no connection at all");
  return {
    port,
    stop() {
      for (const wire of queued) wire.destroy();
      child.kill("SIGKILL");
    },
  };
}
