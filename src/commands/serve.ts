import { EXIT } from "../exit.ts";
import { SUCCESSOR_FLAG } from "../process/handover.ts";
import { raiseFetchCeiling } from "../proxy/ceiling.ts";
import type { Command } from "./command.ts";

/** `runegate serve`, and `runegate` alone. */
export const serve: Command = {
  name: "serve",
  summary: "run the gateway (the default)",
  help: `Usage: runegate [serve] [--OPTION VALUE]...

Runs the gateway with the configured options until SIGTERM or Ctrl-C, then
lets requests under way finish, at most 10 seconds. With RUNEGATE_WORKERS that
many processes share the port.

SIGHUP reads the options again and goes on with them; SIGUSR2 (and SIGHUP when
the executable has been replaced) hands over to a new process. Neither refuses
a connection where net.ipv4.tcp_migrate_req is 1.

Every option but the secrets may also be given as a flag, here and to the other
commands that read them: --session-ttl 7d is RUNEGATE_SESSION_TTL, and
--no-request-logs turns a switch off. Flags go before everything else.

\`runegate check\` says whether it would start; \`runegate config\` lists the
options and \`runegate demo\` shows it working without any.

Example: runegate serve --listen :8080 --target 3000

Exit codes: ${EXIT.done} stopped, ${EXIT.failed} the address cannot be listened on, ${EXIT.config} the configuration
is wrong.`,

  readsOptions: true,
  // Only a predecessor gives it.
  flags: { [SUCCESSOR_FLAG.slice(2)]: { type: "boolean", hidden: true } },

  service: true,

  async run({ values }, io) {
    raiseFetchCeiling(io.env);
    // Only now, because all of the program would be loaded for a process that is about to start anew.
    const { runGateway } = await import("./run-gateway.ts");
    return runGateway(io, { successor: SUCCESSOR_FLAG.slice(2) in values });
  },
};
