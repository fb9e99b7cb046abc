import type { Libc } from "./libc.ts";

export type NotifySettings = {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly libc: Libc | undefined;
  /** Said once, if systemd wants to be told and cannot be. */
  readonly onFailure: () => void;
};

export type Notifier = ReturnType<typeof createNotifier>;

/** Tells systemd how the service is (sd_notify(3)), where systemd asks to be told. Elsewhere every call does nothing. */
export function createNotifier({ env, pid, libc, onFailure }: NotifySettings) {
  const socket = env.NOTIFY_SOCKET;
  let failed = false;
  let timer: Timer | undefined;

  function send(...lines: string[]): void {
    if (!socket || failed) return;
    if (libc?.sendUnixDatagram(socket, `${lines.join("\n")}\n`)) return;
    failed = true;
    onFailure();
  }

  return {
    /** @param status one line for `systemctl status`. */
    // With a sign of life: the time until the first one may be up when a successor has taken over.
    ready: (status: string) => send("READY=1", "WATCHDOG=1", `STATUS=${status}`),
    /** Followed by `ready` when the reload is done. */
    // `Type=notify-reload` waits for a time that is later than its signal.
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send("STOPPING=1", "STATUS=Stopping"),
    /** Makes another process the service's main process: what this one said from then on would not be heard. */
    handOver(successor: number): void {
      clearInterval(timer);
      send(`MAINPID=${successor}`);
    },
    /** Reports at half the interval that systemd asks for, as long as `healthy` says so; without an answer it kills us. */
    startWatchdog(healthy: () => boolean): void {
      const microseconds = Number(env.WATCHDOG_USEC ?? 0);
      const forUs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid);
      if (!forUs || !(microseconds > 0)) return;
      timer = setInterval(() => {
        if (healthy()) send("WATCHDOG=1");
      }, microseconds / 2000);
      timer.unref();
    },
    stop: () => clearInterval(timer),
  };
}
