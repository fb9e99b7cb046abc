import { EXIT } from "../exit.ts";
import type { ToSupervisor, ToWorker } from "../process/messages.ts";
import { runWorker } from "../process/worker.ts";
import { type Command, UsageError } from "./command.ts";

/** `runegate worker`: one of the processes that `serve` starts. Not listed, because nobody else has a use for it. */
export const worker: Command = {
  name: "worker",
  summary: "one of the processes of a gateway with several",
  help: `Usage: runegate worker

Started by \`runegate serve\` where RUNEGATE_WORKERS is more than 1.`,

  service: true,

  async run() {
    if (process.send === undefined) throw new UsageError("only `runegate serve` starts workers.");
    const running = runWorker((message: ToSupervisor) => {
      // The supervisor may be gone: `disconnect` says so, and there is nobody to tell.
      if (process.connected) process.send?.(message);
    });
    process.on("message", (message) => running.receive(message as ToWorker));
    process.once("disconnect", running.abandon);
    // A terminal's Ctrl-C and systemd's stop go to every process of the group.
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, running.stop);
    for (const signal of ["SIGHUP", "SIGUSR1"] as const) process.on(signal, () => {});
    await running.stopped;
    return EXIT.done;
  },
};
